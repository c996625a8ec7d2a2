package fetch

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// prefixes parses networks of the tables below.
func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

var (
	// unusable are networks that no service has an address in. 0.0.0.0 and :: mean this machine.
	unusable = prefixes("0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8")
	// local are networks of this machine and its link.
	local = prefixes("127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10")
	// special are the other networks outside of the public internet (IANA's registries of special-purpose
	// addresses, RFC 6890), and those of metadata services.
	special = append(prefixes("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"2001::/23", "2001:db8::/32", "3fff::/20"), metadata...)
	// metadata are the addresses where clouds give credentials to their machines.
	metadata = prefixes(
		"169.254.169.254/32", // most clouds
		"169.254.170.2/32",   // containers of AWS
		"169.254.170.23/32",  // pods of AWS
		"fd00:ec2::254/128", "fd00:ec2::23/128",
		"fd20:ce::254/128",   // Google
		"168.63.129.16/32",   // Azure
		"100.100.100.200/32", // Alibaba
		"192.0.0.192/32",     // Oracle
	)
	// global is the only IPv6 network of public addresses so far.
	global = netip.MustParsePrefix("2000::/3")
)

// contains reports whether one of the networks contains an address.
func contains(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

// isPublic reports whether an address without another one inside is on the public internet.
func isPublic(a netip.Addr) bool {
	return (a.Is4() || global.Contains(a)) && !contains(unusable, a) && !contains(local, a) && !contains(special, a)
}

// isAllowed reports whether an address may be connected to: it is public, or in one of the private networks
// that the operator allows.
func isAllowed(a netip.Addr, private []netip.Prefix) bool {
	a = a.Unmap().WithZone("")
	permitted := func(a netip.Addr) bool {
		return isPublic(a) || !contains(unusable, a) && slices.ContainsFunc(private, func(n netip.Prefix) bool {
			return n.Contains(a) && isExplicit(n, a)
		})
	}
	for _, t := range translations {
		if t.network.Contains(a) {
			return t.allows(a, permitted)
		}
	}
	return a.IsValid() && permitted(a)
}

// isExplicit reports whether a network was meant to include an address of this machine, of its link, or of
// a metadata service.
func isExplicit(n netip.Prefix, a netip.Addr) bool {
	if contains(metadata, a) {
		return n.IsSingleIP()
	}
	for _, l := range local {
		if l.Contains(a) {
			return n.Bits() >= l.Bits()
		}
	}
	return true
}

// translation is an IPv6 network whose addresses have IPv4 addresses inside: routers, or tunnels of this
// machine, send packets to those.
type translation struct {
	network   netip.Prefix
	readers   []reader
	ambiguous bool // only one of the readers is right, and which is unknown
}

// reader reads an IPv4 address inside an IPv6 address.
type reader func(b [16]byte) [4]byte

// readAt returns a reader of four bytes in a row.
func readAt(at int) reader { return func(b [16]byte) [4]byte { return [4]byte(b[at:]) } }

// readAround returns a reader of four bytes that leaves out byte 8, as RFC 6052 does (section 2.2).
func readAround(at int) reader {
	return func(b [16]byte) [4]byte { return [4]byte(slices.Delete(b[at:], 8-at, 9-at)) }
}

// readInverted reads the last four bytes, with all bits inverted.
func readInverted(b [16]byte) [4]byte { return [4]byte{^b[12], ^b[13], ^b[14], ^b[15]} }

var translations = []translation{
	{netip.MustParsePrefix("64:ff9b::/96"), []reader{readAt(12)}, false}, // NAT64, RFC 6052
	// NAT64, RFC 8215: whoever runs the network chooses a prefix of 48, 56, 64 or 96 bits.
	{netip.MustParsePrefix("64:ff9b:1::/48"), []reader{readAround(6), readAround(7), readAround(8), readAt(12)},
		true},
	{netip.MustParsePrefix("2002::/16"), []reader{readAt(2)}, false}, // 6to4, RFC 3056
	// Teredo, RFC 4380: the addresses of the server and of the client.
	{netip.MustParsePrefix("2001::/32"), []reader{readAt(4), readInverted}, false},
	{netip.MustParsePrefix("::/96"), []reader{readAt(12)}, false}, // IPv4-compatible, RFC 4291
}

// allows reports whether the IPv4 addresses inside an address are permitted. Of ambiguous ones, those that
// nothing can have are the wrong reading.
func (t translation) allows(a netip.Addr, permitted func(netip.Addr) bool) bool {
	if a == netip.IPv6Loopback() {
		return permitted(a)
	}
	found := false
	for _, read := range t.readers {
		inner := netip.AddrFrom4(read(a.As16()))
		if t.ambiguous && contains(unusable, inner) {
			continue
		}
		if !permitted(inner) {
			return false
		}
		found = true
	}
	return found
}

// validateNetwork reports a private network that cannot be allowed.
func validateNetwork(n netip.Prefix) error {
	switch {
	case !n.IsValid():
		return errors.New("it must be a network such as 10.0.0.0/8")
	case n != n.Masked():
		return fmt.Errorf("it has bits beyond its length; the network is %v", n.Masked())
	case n.Addr().Is4In6():
		return errors.New("it must be written as an IPv4 network")
	}
	for _, t := range translations {
		if n.Addr() != netip.IPv6Loopback() && t.network.Contains(n.Addr()) && n.Bits() >= t.network.Bits() {
			return errors.New("its addresses are judged by the IPv4 addresses inside; name their network")
		}
	}
	return nil
}
