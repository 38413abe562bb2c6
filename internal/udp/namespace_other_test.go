//go:build !linux || udpportable

package udp

func inNamespace() bool { return false }
