a = "  kept   as it is  "
b = "x${y.z}  ${f(1, 2)}"
c = y.z
d = f(1)
e = ([
  1,
  2
])
f = y.z
g = (
  y.z
)
h = "${y.z}${y.z}"
i = "${y.z} "
j = ["${y.z}"]
k = "$${ x } %%{ y }"
l = "%{if y.z}a%{else}b%{endif}"
m = "%{~for n in y.z~} ${n} %{~endfor~}"
o = "\"${y.z}\\"
p = y.z
q = "${ { a = 1 } }${ { a = 1 } }"
r = "a ${"b ${y.z} c"} d"
s = y.z # with a comment
t = y.z /* with another */
