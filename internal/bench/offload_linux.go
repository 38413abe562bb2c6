package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	featureStrings = 4  // ETH_SS_FEATURES of linux/ethtool.h
	stringSize     = 32 // ETH_GSTRING_LEN
	maxFeatures    = 1024
)

// plain makes the link name like a device that can send one packet at a time:
// no segmentation, of TCP or of UDP. Its receiver still joins what belongs
// together.
func plain(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	names, err := features(fd, name)
	if err != nil {
		return err
	}
	return setFeatures(fd, name, names, func(feature string) (on, change bool) {
		switch {
		case strings.HasPrefix(feature, "tx-") && strings.HasSuffix(feature, "-segmentation"):
			return false, true
		case feature == "rx-gro":
			return true, true
		}
		return false, false
	})
}

// ethtool makes a call; its request and answer are in data.
func ethtool(fd int, name string, data []byte) error {
	var raw struct { // ifreq
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(raw.name[:unix.IFNAMSIZ-1], name)
	raw.data = unsafe.Pointer(&data[0])
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&raw)))
	if errno != 0 {
		return errno
	}
	return nil
}

// features returns the names of the device's features, by bit.
func features(fd int, name string) ([]string, error) {
	// struct ethtool_gstrings: command, set, count, and the strings.
	data := make([]byte, 12+maxFeatures*stringSize)
	binary.NativeEndian.PutUint32(data, unix.ETHTOOL_GSTRINGS)
	binary.NativeEndian.PutUint32(data[4:], featureStrings)
	if err := ethtool(fd, name, data); err != nil {
		return nil, fmt.Errorf("read the features' names: %w", err)
	}
	names := make([]string, min(maxFeatures, binary.NativeEndian.Uint32(data[8:])))
	for i := range names {
		s := data[12+i*stringSize:][:stringSize]
		s, _, _ = bytes.Cut(s, []byte{0})
		names[i] = string(s)
	}
	return names, nil
}

// setFeatures turns features on and off as want says.
func setFeatures(fd int, name string, names []string, want func(feature string) (on, change bool)) error {
	// struct ethtool_sfeatures: command, count of words, and for each word the
	// bits that change and the bits requested.
	words := (len(names) + 31) / 32
	data := make([]byte, 8+8*words)
	binary.NativeEndian.PutUint32(data, unix.ETHTOOL_SFEATURES)
	binary.NativeEndian.PutUint32(data[4:], uint32(words))
	for i, feature := range names {
		on, change := want(feature)
		set := func(at int) {
			word := data[8+i/32*8+at:]
			binary.NativeEndian.PutUint32(word, binary.NativeEndian.Uint32(word)|1<<(i%32))
		}
		if change {
			set(0)
		}
		if on {
			set(4)
		}
	}
	if err := ethtool(fd, name, data); err != nil {
		return fmt.Errorf("set the features: %w", err)
	}
	return nil
}
