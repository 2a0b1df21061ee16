package webhook

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestPrivate(t *testing.T) {
	for address, want := range map[string]string{
		"8.8.8.8": "", "1.1.1.1": "", "100.63.255.255": "", "100.128.0.0": "", "172.15.0.1": "", "172.32.0.1": "", "198.17.0.1": "",
		"192.0.1.1": "", "223.255.255.255": "", "11.0.0.1": "",
		"2606:4700:4700::1111": "", "2a00:1450:4001::1": "", "2003::1": "", "2001:4860:4860::8888": "",
		"0.0.0.0": "unspecified", "0.1.2.3": "unspecified", "::": "unspecified",
		"127.0.0.1": "loopback", "127.255.255.254": "loopback", "::1": "loopback",
		"10.0.0.1": "private", "10.255.255.255": "private", "172.16.0.1": "private", "172.31.255.255": "private", "192.168.1.1": "private",
		"100.64.0.1": "carrier", "100.127.255.255": "carrier",
		"169.254.169.254": "link-local", "fe80::1": "link-local", "fe80::1%eth0": "link-local", "febf::1": "link-local",
		"fc00::1": "private", "fd12:3456::1": "private",
		"224.0.0.1": "multicast", "239.1.1.1": "multicast", "ff02::1": "multicast",
		"240.0.0.1": "reserved", "255.255.255.255": "reserved",
		"192.0.0.8": "special", "192.88.99.1": "special", "198.18.0.1": "benchmarks", "198.19.255.255": "benchmarks",
		"192.0.2.1": "documentation", "198.51.100.1": "documentation", "203.0.113.1": "documentation",
		"2001:db8::1": "documentation", "3fff::1": "documentation", "2001::1": "special", "2001:10::1": "special",
		"100::1": "special", "fec0::1": "special", "::8.8.8.8": "special", "4000::1": "special", "64:ff9b:1::8.8.8.8": "special",
		// Addresses that carry another.
		"::ffff:127.0.0.1": "loopback", "::ffff:10.1.2.3": "private", "::ffff:8.8.8.8": "",
		"64:ff9b::127.0.0.1": "loopback", "64:ff9b::169.254.169.254": "link-local", "64:ff9b::8.8.8.8": "",
		"2002:7f00:1::": "loopback", "2002:c0a8:101::1": "private", "2002:808:808::": "",
	} {
		got := private(netip.MustParseAddr(address))
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

func TestGuard(t *testing.T) {
	check := guard(private)
	for address, want := range map[string]string{
		"127.0.0.1:80":     "not connected to 127.0.0.1: it is a loopback address, and private_addresses is deny",
		"[fe80::1%lo]:443": "not connected to fe80::1%lo: it is a link-local address, and private_addresses is deny",
		"[::ffff:a00:1]:9": "not connected to ::ffff:10.0.0.1: it is a private address, and private_addresses is deny",
		"/run/hooks.sock":  "not connected to /run/hooks.sock: it is not an IP address, and private_addresses is deny",
		"8.8.8.8:443":      "",
	} {
		err := check(t.Context(), "tcp", address, nil)
		var denied *AddressError
		if want == "" && err != nil || want != "" && (!errors.As(err, &denied) || err.Error() != want) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
