a="${
# c
x.y}"
