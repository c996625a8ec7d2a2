package fetch

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestIsAllowedWithoutPrivateNetworks checks addresses of each kind.
func TestIsAllowedWithoutPrivateNetworks(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "2606:4700::1111": true, "2a00:1450::1": true, "::ffff:8.8.8.8": true,

		"0.0.0.0": false, "0.1.2.3": false, "127.0.0.1": false, "127.255.0.9": false, "10.0.0.1": false,
		"172.31.0.1": false, "192.168.1.1": false, "100.64.0.1": false, "169.254.169.254": false,
		"192.0.0.192": false, "192.0.2.1": false, "192.88.99.1": false, "198.19.0.1": false, "198.51.100.1": false,
		"203.0.113.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"168.63.129.16": false, "100.100.100.200": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false,
		"ff02::1": false, "2001:db8::1": false, "2001:2::1": false, "3fff::1": false, "100::1": false,
		"5f00::1": false, "fec0::1": false, "4000::1": false, "::ffff:10.0.0.1": false, "::ffff:127.0.0.1": false,

		// NAT64, well-known prefix.
		"64:ff9b::8.8.8.8": true, "64:ff9b::10.0.0.1": false, "64:ff9b::127.0.0.1": false,
		"64:ff9b::169.254.169.254": false, "64:ff9b::168.63.129.16": false, "64:ff9b::0.0.0.0": false,
		"64:ff9b::1:0:8.8.8.8": false, // outside of the /96
		// NAT64, local-use prefixes of 96, 48, 56 and 64 bits with 8.8.4.4 and with 10.1.2.3 inside.
		"64:ff9b:1::8.8.4.4": true, "64:ff9b:1:fffe::8.8.4.4": true, "64:ff9b:1:808:4:400::": true,
		"64:ff9b:1:8:8:404::": true, "64:ff9b:1:0:8:804:400::": true,
		"64:ff9b:1::10.1.2.3": false, "64:ff9b:1:fffe::10.1.2.3": false, "64:ff9b:1:a01:2:300::": false,
		"64:ff9b:1:a:1:203::": false, "64:ff9b:1:0:a:102:300::": false,
		// A public address at the end does not hide a private one before it.
		"64:ff9b:1:a01:2:300:808:808": false, "64:ff9b:1:0:a:102:308:808": false, "64:ff9b:1::": false,
		// 6to4, Teredo (server, inverted client), IPv4-compatible.
		"2002:808:808::1": true, "2002:a00:1::1": false, "2002:7f00:1::": false,
		"2001:0:808:808:0:0:f7f7:f7f7": true, "2001:0:808:808:0:0:f5ff:fffe": false,
		"2001:0:a00:1:0:0:f7f7:f7f7": false,
		"::8.8.8.8":                  true, "::10.0.0.1": false, "::127.0.0.1": false,
	} {
		if got := isAllowed(netip.MustParseAddr(address), nil); got != want {
			t.Errorf("%s: allowed: %v", address, got)
		}
	}
	if isAllowed(netip.Addr{}, nil) {
		t.Error("the zero address is allowed")
	}
}

// TestIsAllowedWithPrivateNetworks checks what a network allows, and what it must name explicitly.
func TestIsAllowedWithPrivateNetworks(t *testing.T) {
	for _, c := range []struct {
		networks, allowed, refused string
	}{
		{"10.0.0.0/8",
			"10.1.2.3 ::ffff:10.1.2.3 64:ff9b::10.1.2.3 64:ff9b:1::10.1.2.3 2002:a01:203::1 ::10.1.2.3 8.8.8.8",
			"192.168.0.1 127.0.0.1 64:ff9b::192.168.0.1"},
		{"0.0.0.0/0", "10.1.2.3 192.168.0.1 100.64.0.1",
			"127.0.0.1 169.254.0.1 169.254.169.254 100.100.100.200 168.63.129.16 0.0.0.0 224.0.0.1 255.255.255.255 " +
				"fd00::1 ::1 ::"},
		{"::/0", "fd00::1", "::1 fe80::1 fd00:ec2::254 :: ff02::1 10.0.0.1 127.0.0.1 64:ff9b::10.0.0.1 ::10.0.0.1"},
		{"127.0.0.0/8", "127.0.0.1 127.9.9.9 ::ffff:127.0.0.1", "::1 10.0.0.1"},
		{"127.0.0.1/32", "127.0.0.1", "127.0.0.2"},
		{"::1/128", "::1", "127.0.0.1 ::2"},
		{"169.254.0.0/16", "169.254.1.1", "169.254.169.254 169.254.170.2"},
		{"169.254.169.254/32", "169.254.169.254", "169.254.1.1"},
		{"fe80::/10", "fe80::1%eth0", "fd00::1"},
		{"fd00::/8", "fd12::1", "fd00:ec2::254"},
		{"fd00::/8 fd00:ec2::254/128", "fd00:ec2::254 fd12::1", "fd20:ce::254"},
	} {
		networks := prefixes(strings.Fields(c.networks)...)
		for want, addresses := range map[bool]string{true: c.allowed, false: c.refused} {
			for _, a := range strings.Fields(addresses) {
				if got := isAllowed(netip.MustParseAddr(a), networks); got != want {
					t.Errorf("%s allow %s: %v", c.networks, a, got)
				}
			}
		}
	}
}

// TestIsAllowedJudgesByTheAddressInside compares addresses with those that are embedded in them.
func TestIsAllowedJudgesByTheAddressInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b [4]byte
		for i := range b {
			special := rapid.SampledFrom([]byte{0, 10, 100, 127, 169, 172, 192, 254})
			b[i] = rapid.OneOf(rapid.Byte(), special).Draw(t, "byte")
		}
		inner := netip.AddrFrom4(b)
		networks := rapid.SampledFrom([][]netip.Prefix{nil, prefixes("10.0.0.0/8"), prefixes("127.0.0.0/8")}).
			Draw(t, "networks")
		want := isAllowed(inner, networks)
		for _, outer := range [][16]byte{
			{10: 0xff, 11: 0xff, 12: b[0], b[1], b[2], b[3]},
			{0, 0x64, 0xff, 0x9b, 12: b[0], b[1], b[2], b[3]},
			{0x20, 0x02, b[0], b[1], b[2], b[3], 15: 1},
			{0x20, 0x01, 4: 8, 5: 8, 6: 8, 7: 8, 12: ^b[0], ^b[1], ^b[2], ^b[3]},
		} {
			a := netip.AddrFrom16(outer)
			if got := isAllowed(a, networks); got != want {
				t.Fatalf("%v: %v, but %v: %v", a, got, inner, want)
			}
		}
		// In networks of local use an address that is refused stays so in each of the forms.
		for _, outer := range [][16]byte{
			{0, 0x64, 0xff, 0x9b, 0, 1, b[0], b[1], 0, b[2], b[3]},
			{0, 0x64, 0xff, 0x9b, 0, 1, 0, b[0], 0, b[1], b[2], b[3]},
			{0, 0x64, 0xff, 0x9b, 0, 1, 0, 0, 0, b[0], b[1], b[2], b[3]},
			{0, 0x64, 0xff, 0x9b, 0, 1, 0xff, 0xfe, 0, 0, 0, 0, b[0], b[1], b[2], b[3]},
		} {
			a := netip.AddrFrom16(outer)
			if !want && !contains(unusable, inner) && isAllowed(a, networks) {
				t.Fatalf("%v is allowed, but not %v", a, inner)
			}
		}
	})
}
