#!/bin/sh
# Stand-in of the dmp lab for apt and apt-get: keeps which packages count as installed, and installs nothing.
state=/var/lib/lab/packages
verb=
dry=
packages=
while [ $# -gt 0 ]; do
    case $1 in
        --version) echo "apt (stand-in of the dmp lab)"; exit 0 ;;
        -o | --option | -t | --target-release | -c) shift ;;
        -s | --simulate | --dry-run) dry=1 ;;
        -*) ;;
        *) if [ -z "$verb" ]; then verb=$1; else packages="$packages $1"; fi ;;
    esac
    shift
done
mkdir -p "$state"

case $verb in
    update | clean | autoclean | autoremove | upgrade | dist-upgrade | full-upgrade | check)
        echo "$verb: nothing to do (stand-in of the dmp lab)" ;;
    install | reinstall)
        for package in $packages; do
            remove=
            case $package in *-) [ -e "$state/${package%-}" ] && remove=1 ;; esac
            name=${package%%[=/]*}
            name=${name%:*}
            version=${package#*=}
            [ "$version" != "$package" ] || version=1.0-lab
            if [ -n "$remove" ]; then name=${name%-}; echo "Removing $name (stand-in of the dmp lab)"; [ -n "$dry" ] || rm -f "$state/$name"; continue; fi
            case $name in *[!a-z0-9.+-]* | '') echo "E: Unable to locate package $name" >&2; exit 100 ;; esac
            if [ -e "$state/$name" ] && [ "$version" = 1.0-lab ]; then
                echo "$name is already the newest version (stand-in of the dmp lab)"
                continue
            fi
            if [ -n "$dry" ]; then echo "Inst $name ($version lab)"; continue; fi
            echo "Setting up $name ($version) (stand-in of the dmp lab: no file is installed)"
            echo "$version" >"$state/$name"
        done ;;
    remove | purge)
        for package in $packages; do
            if [ -n "$dry" ]; then echo "Remv $package"; continue; fi
            echo "Removing $package (stand-in of the dmp lab)"
            rm -f "$state/${package%:*}"
        done ;;
    *) echo "apt (stand-in of the dmp lab): \`$verb\` is not carried out" >&2; exit 100 ;;
esac
