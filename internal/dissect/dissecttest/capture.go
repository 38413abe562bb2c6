package dissecttest

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Epoch is when captures begin.
var Epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Capture writes a pcapng file of Ethernet frames in memory.
type Capture struct {
	buf bytes.Buffer
	w   *pcapgo.NgWriter
	n   int
}

// NewCapture returns an empty capture.
func NewCapture() *Capture {
	c := &Capture{}
	w, err := pcapgo.NewNgWriter(&c.buf, layers.LinkTypeEthernet)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	c.w = w
	return c
}

// UDP adds a datagram and returns its frame number.
func (c *Capture) UDP(at time.Duration, src, dst netip.AddrPort, ecn uint8, payload []byte, comment ...string) int {
	return c.Frame(at, Ethernet(IP(src, dst, ecn, payload), src.Addr().Is6()), comment...)
}

// Frame adds any frame and returns its number.
func (c *Capture) Frame(at time.Duration, frame []byte, comment ...string) int {
	ci := gopacket.CaptureInfo{Timestamp: Epoch.Add(at), CaptureLength: len(frame), Length: len(frame)}
	if err := c.w.WritePacketWithOptions(ci, frame, pcapgo.NgPacketOptions{Comments: comment}); err != nil {
		panic("BUG: " + err.Error())
	}
	c.n++
	return c.n
}

// Secrets adds a Decryption Secrets Block.
func (c *Capture) Secrets(keyLog []byte) {
	if err := c.w.WriteDecryptionSecretsBlock(pcapgo.DSB_SECRETS_TYPE_TLS, keyLog); err != nil {
		panic("BUG: " + err.Error())
	}
}

// Bytes returns the file.
func (c *Capture) Bytes() []byte {
	if err := c.w.Flush(); err != nil {
		panic("BUG: " + err.Error())
	}
	return bytes.Clone(c.buf.Bytes())
}

// Ethernet puts a header in front of an IP packet.
func Ethernet(ip []byte, v6 bool) []byte {
	kind := uint16(0x0800)
	if v6 {
		kind = 0x86dd
	}
	b := make([]byte, 12, 14+len(ip))
	b = binary.BigEndian.AppendUint16(b, kind)
	return append(b, ip...)
}

// IP returns an IP packet with a UDP datagram, without checksums.
func IP(src, dst netip.AddrPort, ecn uint8, payload []byte) []byte {
	var b []byte
	if src.Addr().Is6() {
		b = make([]byte, 8, 48+len(payload))
		b[0], b[1], b[6], b[7] = 0x60, ecn<<4, 17, 64
		binary.BigEndian.PutUint16(b[4:], uint16(8+len(payload)))
	} else {
		b = make([]byte, 12, 28+len(payload))
		b[0], b[1], b[8], b[9] = 0x45, ecn, 64, 17
		binary.BigEndian.PutUint16(b[2:], uint16(28+len(payload)))
	}
	b = append(append(b, src.Addr().AsSlice()...), dst.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	b = append(b, 0, 0)
	return append(b, payload...)
}
