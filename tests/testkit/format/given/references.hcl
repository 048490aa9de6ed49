a=x . y [ 0 ] . z
b=x.y[*] . z
c=x.y.*.z
d=x.y.0.z
e=x.y [ "k" ] [ 1 ]
f=g ( 1 ) [ 0 ]
h=provider :: host :: f ( 1 )
i=j( k.l ... )
m=[ 1 , 2 ] [ 0 ]
n={ a=1 } . a
o="text" [ 0 ]
p=[for q in[1,2]:q]
