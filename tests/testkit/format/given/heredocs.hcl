a = <<EOT
${  x.y  } %{ if x.y }a%{endif}
EOT
