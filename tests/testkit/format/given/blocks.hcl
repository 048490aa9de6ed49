resource host_file motd {
path="/etc/motd"
  content =  "x"
      connection{ host="a" }
nested "a"    "b"{
deeper {
}
empty{}
spaced { }
}
}
locals{one=1}
  module "m" {
source="./m"

	providers = {
host=host.other
}
}
