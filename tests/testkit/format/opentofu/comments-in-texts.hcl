a = # c
x.y
