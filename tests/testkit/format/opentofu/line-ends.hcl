a   = 1 # c 
bbb = 2

block "x" {
  c = [
  1]
}
