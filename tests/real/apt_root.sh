# For `source`: an apt beside the machine's own, which reads wherever that is configured to look; its configuration stays as it is.

# apt_root FOLDER deb|deb-src SUITE...: prepares it; then `APT_CONFIG=FOLDER/apt.conf apt-get ...`.
apt_root() {
    local apt=$1 types=$2 uri
    shift 2
    mkdir -p "$apt"/lists/partial "$apt"/cache/archives/partial "$apt"/etc/sources.list.d "$apt"/etc/preferences.d "$apt"/etc/apt.conf.d
    uri=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
    [ -n "$uri" ] || uri=$(grep -rhoP '^(URIs:|deb) *\K\S+/debian(?=\s|$)' /etc/apt/sources.list /etc/apt/sources.list.d | head -1)
    printf 'Types: %s\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' \
        "$types" "$uri" "$*" >"$apt/etc/sources.list.d/root.sources"
    cp /etc/apt/apt.conf.d/99* "$apt/etc/apt.conf.d/" 2>/dev/null || true
    cat >"$apt/apt.conf" <<CONF
Dir::Etc "$apt/etc/";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$apt/etc/sources.list.d";
Dir::State::lists "$apt/lists";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
CONF
    APT_CONFIG=$apt/apt.conf apt-get -qq update >&2
}
