a = 1 + 2 * 3 - 4 / 5 % 6
b = x.y == 1 && !z.y || x.y != 2
c = x.y < 1 || x.y <= 1 || x.y > 1 || x.y >= 1
d = -1
e = 1 - 1
f = 1 - -1
g = x.y ? -1 : -2
h = [-1, -x.y]
i = (-1)
j = { k = -1, l : -2 }
m = f(-1) - g(1) - x.y[-1]
n = !!x.y
o = (x.y) - (1)
p = [for q in x.y : -q]
r = { for s, t in x.y : s => - t... if(t > -1) }
