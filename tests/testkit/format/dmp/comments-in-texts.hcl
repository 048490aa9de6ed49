a = ( # c
x.y)
