#!/bin/sh
# Stand-in of the dmp lab for dpkg and dpkg-query: tells which packages count as installed. Nothing is unpacked.
state=/var/lib/lab/packages
verb=
format='${Package}\t${Version}\n'
packages=
while [ $# -gt 0 ]; do
    case $1 in
        --version) echo "dpkg (stand-in of the dmp lab)"; exit 0 ;;
        --print-architecture) exec uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/' ;;
        -W | --show) verb=show ;;
        -s | --status) verb=status ;;
        -l | --list) verb=list ;;
        -f) shift; format=$1 ;;
        -f=* | --showformat=*) format=${1#*=} ;;
        -f*) format=${1#-f} ;;
        --configure | -a | --audit) verb=nothing ;;
        --compare-versions) shift; exec /usr/bin/dpkg --compare-versions "$@" ;;
        -*) ;;
        *) packages="$packages $1" ;;
    esac
    shift
done
mkdir -p "$state"
: "${packages:=$(ls "$state")}"

one() {
    if [ ! -e "$state/$1" ]; then
        if [ "$verb" = status ]; then echo "dpkg-query: package '$1' is not installed and no information is available" >&2
        else echo "dpkg-query: no packages found matching $1" >&2; fi
        return 1
    fi
    version=$(cat "$state/$1")
    arch=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
    case $verb in
        status) printf 'Package: %s\nStatus: install ok installed\nVersion: %s\nArchitecture: %s\n' "$1" "$version" "$arch" ;;
        list) printf 'ii  %s  %s  %s  stand-in of the dmp lab\n' "$1" "$version" "$arch" ;;
        *)
            text=$(printf '%s\n' "$format" | sed -e "s/\${binary:Package}/$1/g; s/\${Package}/$1/g; s/\${Version}/$version/g; s/\${Architecture}/$arch/g" \
                -e 's/${Status}/install ok installed/g; s/${db:Status-Status}/installed/g; s/${db:Status-Abbrev}/ii /g; s/${[^}]*}//g')
            printf "$text" ;;
    esac
}

code=0
case $verb in
    nothing) ;;
    show | status | list) for package in $packages; do one "${package%:*}" || code=1; done ;;
    *) echo "dpkg (stand-in of the dmp lab): not carried out" >&2; code=2 ;;
esac
exit $code
