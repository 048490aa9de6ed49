a = [1, 2, 3]
b = [1, 2, ]
c = {}
d = {}
e = { f = 1, "g" = 2, (h.i) = 3, j : 4 }
k = [
  1,
  [2,
    3], [
    4
  ]
]
l = {
  m = 1
  nnn = { o = [
    1
  ] }
  p = f(
    2,
  3)
}
q = f([
  1
  ], {
  r = 2
})
s = [for t in x.y : t if t != 1]
u = {
  for v, w in x.y :
  v => w
}
z = [{
  a = 1
  }, {
  b = 2
}]
if_x = x.y ? [
  1] : [
2]
