//go:build !linux

package control

import "net"

// permitted leaves it to the modes of the socket and of its directory.
func permitted(net.Conn) error { return nil }
