# first
// second
/* third
     keeps
  its lines */ a = 1
b                                    = /* in */ 2 /* after */
c = [
  # alone
  1,
  /* before */ 2,
  // last
]
d = f(/* x */ 1 /* y */, 2)
e {
  # only this
}
