a=1
longer_name   =    2
# a comment between does not part columns? it does
b = 3 # one
cc=4# two
ddd =55 // three

x=1 # alone
list=[ # opens
1, # first
22,# second
  333 /* third */
]
after=2 # closes
block { # header
  q=1 # inner
}
one { a=1 } # at the end of a block
é = "ä" # wide
日本語="x" # wider
