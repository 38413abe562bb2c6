//go:build !udpportable

package udp

import (
	"net"
	"strconv"
	"sync"
)

// maxZones bounds a zoneTable. Its entries are interfaces of this host and zones that the program itself wrote, so
// the limit is for programs that make and delete interfaces all day.
const maxZones = 256

// zoneTable translates between interface indexes and the zones of link-local addresses ("eth0") without asking the
// kernel each time. The zero value is ready; any goroutine may use it.
type zoneTable struct {
	mu      sync.Mutex // guards all below
	names   map[uint32]string
	indexes map[string]uint32
}

// name returns the interface's name, or its index in decimal if it has none any more.
func (z *zoneTable) name(index uint32) string {
	z.mu.Lock()
	defer z.mu.Unlock()
	if name, ok := z.names[index]; ok {
		return name
	}
	name := strconv.FormatUint(uint64(index), 10)
	if ifi, err := net.InterfaceByIndex(int(index)); err == nil {
		name = ifi.Name
	}
	if z.names == nil || len(z.names) >= maxZones {
		z.names = make(map[uint32]string)
	}
	z.names[index] = name
	return name
}

// index returns the interface index of a zone, 0 if there is no such interface.
func (z *zoneTable) index(name string) uint32 {
	if name == "" {
		return 0
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if index, ok := z.indexes[name]; ok {
		return index
	}
	index := lookupZone(name)
	if index == 0 {
		return 0 // not remembered: it may come yet
	}
	if z.indexes == nil || len(z.indexes) >= maxZones {
		z.indexes = make(map[string]uint32)
	}
	z.indexes[name] = index
	return index
}

func lookupZone(name string) uint32 {
	if ifi, err := net.InterfaceByName(name); err == nil {
		return uint32(ifi.Index)
	}
	n, err := strconv.ParseUint(name, 10, 31)
	if err != nil {
		return 0
	}
	return uint32(n)
}
