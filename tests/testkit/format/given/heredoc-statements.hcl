a=<<EOT
  kept ${x.y}
EOT
bbb=1
c = <<-EOT
    kept

    ${x.y}

    EOT
d=f(<<A
one
A
,<<B
two
B
)
ee {
 content   =<<-EOT
  x
   EOT
mode=1
}
