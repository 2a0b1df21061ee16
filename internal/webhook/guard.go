package webhook

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
)

// special4 are the blocks of IPv4 that are not the public Internet (RFC 6890 and its successors).
var special4 = []struct {
	block netip.Prefix
	what  string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "an unspecified address"},
	{netip.MustParsePrefix("10.0.0.0/8"), "a private address"},
	{netip.MustParsePrefix("100.64.0.0/10"), "a carrier's private address"},
	{netip.MustParsePrefix("127.0.0.0/8"), "a loopback address"},
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address"},
	{netip.MustParsePrefix("172.16.0.0/12"), "a private address"},
	{netip.MustParsePrefix("192.0.0.0/24"), "an address of special use"},
	{netip.MustParsePrefix("192.0.2.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "an address of special use"},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private address"},
	{netip.MustParsePrefix("198.18.0.0/15"), "an address for benchmarks"},
	{netip.MustParsePrefix("198.51.100.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "an address for documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address"},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved address"},
}

// special6 are the blocks within the global unicast addresses of IPv6 that are not the public Internet either.
var special6 = []struct {
	block netip.Prefix
	what  string
}{
	{netip.MustParsePrefix("2001::/23"), "an address of special use"},
	{netip.MustParsePrefix("2001:db8::/32"), "an address for documentation"},
	{netip.MustParsePrefix("3fff::/20"), "an address for documentation"},
}

var (
	global6 = netip.MustParsePrefix("2000::/3")
	sixTo4  = netip.MustParsePrefix("2002::/16")
	nat64   = netip.MustParsePrefix("64:ff9b::/96")
)

// private tells in words why an address is not of the public Internet, "" if it is. An address that carries another one
// (IPv4-mapped, NAT64, 6to4) is judged by that.
func private(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		for _, s := range special4 {
			if s.block.Contains(addr) {
				return s.what
			}
		}
		return ""
	}
	raw := addr.As16()
	switch {
	case nat64.Contains(addr):
		return private(netip.AddrFrom4([4]byte(raw[12:16])))
	case sixTo4.Contains(addr):
		return private(netip.AddrFrom4([4]byte(raw[2:6])))
	case addr.IsLoopback():
		return "a loopback address"
	case addr.IsUnspecified():
		return "an unspecified address"
	case addr.IsPrivate():
		return "a private address"
	case addr.IsLinkLocalUnicast():
		return "a link-local address"
	case addr.IsMulticast():
		return "a multicast address"
	case !global6.Contains(addr):
		return "an address of special use"
	}
	for _, s := range special6 {
		if s.block.Contains(addr) {
			return s.what
		}
	}
	return ""
}

// AddressError tells that a name led to an address that must not be connected to.
type AddressError struct{ Address, Why string }

func (e *AddressError) Error() string {
	return fmt.Sprintf("not connected to %s: it is %s, and private_addresses is deny", e.Address, e.Why)
}

// guard refuses a connection by the address it is about to be made to, after any name was resolved: what a name meant
// before does not count.
func guard(judge func(netip.Addr) string) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return &AddressError{Address: address, Why: "not an IP address"}
		}
		if why := judge(to.Addr()); why != "" {
			return &AddressError{Address: to.Addr().String(), Why: why}
		}
		return nil
	}
}
