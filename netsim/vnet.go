package netsim

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// vnetHeader is the virtio-net header that precedes a frame on a packet socket with PACKET_VNET_HDR. It
// tells what the sending kernel left to the hardware: segmentation, and the transport checksum.
type vnetHeader struct {
	flags, gsoType        uint8
	hdrLen, gsoSize       uint16
	csumStart, csumOffset uint16
}

const (
	vnetHeaderLen = 10 // bytes

	vnetNeedsCsum = 1 // flags: the checksum field holds the sum over the pseudo header only

	gsoNone  = 0
	gsoTCPv4 = 1
	gsoTCPv6 = 4
	gsoUDP   = 5    // UDP_L4: each segment is a datagram
	gsoECN   = 0x80 // TCP: CWR on the first segment only

	udpChecksumField = 6 // offsets in the transport header
	tcpChecksumField = 16

	tcpFIN, tcpPSH, tcpCWR = 0x01, 0x08, 0x80
)

var errShortFrame = errors.New("netsim: frame is cut short")

// parseVnet reads the header, which is in the byte order of the machine.
func parseVnet(b []byte) (vnetHeader, error) {
	if len(b) < vnetHeaderLen {
		return vnetHeader{}, errShortFrame
	}
	u16 := binary.NativeEndian.Uint16
	return vnetHeader{b[0], b[1], u16(b[2:]), u16(b[4:]), u16(b[6:]), u16(b[8:])}, nil
}

// split hands the IP packets that a frame stands for to emit, one by one, as a wire would carry them: a
// super-packet is cut into its segments, and checksums that were left to the hardware are filled in. frame
// starts with its Ethernet header and is changed in place. The slice given to emit is good during the call.
func (h vnetHeader) split(frame []byte, emit func(ip []byte)) error {
	if len(frame) < etherHeaderLen {
		return errShortFrame
	}
	p, err := ParseIP(frame[etherHeaderLen:])
	if err != nil {
		return err
	}
	switch h.gsoType &^ gsoECN {
	case gsoNone:
		if err := h.finishChecksum(frame, p.Data); err != nil {
			return err
		}
		emit(p.Data)
		return nil
	case gsoUDP:
		if !p.UDP || h.gsoSize == 0 {
			return errors.New("netsim: UDP super-packet without UDP header or segment size")
		}
		cut(p.Data, p.Payload, int(h.gsoSize), finishUDPSegment, emit)
		return nil
	case gsoTCPv4, gsoTCPv6:
		return h.splitTCP(p.Data, emit)
	}
	return fmt.Errorf("netsim: super-packet of unknown kind %d", h.gsoType)
}

// finishChecksum completes a partial checksum: the field holds the sum over the pseudo header, and the
// rest of the packet is to be added.
func (h vnetHeader) finishChecksum(frame, ip []byte) error {
	if h.flags&vnetNeedsCsum == 0 {
		return nil
	}
	start, field := int(h.csumStart)-etherHeaderLen, int(h.csumStart)-etherHeaderLen+int(h.csumOffset)
	if start < 0 || field+2 > len(ip) {
		return errShortFrame
	}
	sum := ^fold(sum16(0, ip[start:]))
	if sum == 0 && h.csumOffset == udpChecksumField {
		sum = 0xffff // RFC 768: zero would mean that there is no checksum
	}
	binary.BigEndian.PutUint16(ip[field:], sum)
	return nil
}

// splitTCP cuts a TCP super-packet (RFC 9293 §3.1).
func (h vnetHeader) splitTCP(ip []byte, emit func([]byte)) error {
	at := ipv4HeaderLen
	switch ip[0] >> 4 {
	case 4:
		at = int(ip[0]&15) * 4
	case 6:
		_, at, _ = skipExtensions(ip)
	}
	if at+tcpHeaderLen > len(ip) || h.gsoSize == 0 {
		return errShortFrame
	}
	header := at + int(ip[at+12]>>4)*4
	if header < at+tcpHeaderLen || header > len(ip) {
		return errShortFrame
	}
	cut(ip, header, int(h.gsoSize), finishTCPSegment, emit)
	return nil
}

// segment is one piece of a super-packet: the headers of the whole, and its own part of the payload.
type segment struct {
	ip          []byte
	header      int // offset of the payload
	offset      int // of the payload in that of the whole
	first, last bool
}

// cut copies the headers in front of each size bytes of payload, lets finish correct the transport header
// and corrects the IP header: its length, and for IPv4 the identification, which counts up.
func cut(whole []byte, header, size int, finish func(segment), emit func([]byte)) {
	payload := whole[header:]
	buf := make([]byte, 0, header+min(size, len(payload)))
	for n, offset := 0, 0; offset < len(payload) || n == 0; n, offset = n+1, offset+size {
		end := min(offset+size, len(payload))
		buf = append(append(buf[:0], whole[:header]...), payload[offset:end]...)
		if buf[0]>>4 == 4 {
			binary.BigEndian.PutUint16(buf[2:], uint16(len(buf)))
			binary.BigEndian.PutUint16(buf[4:], binary.BigEndian.Uint16(whole[4:])+uint16(n))
			setIPv4Checksum(buf)
		} else {
			binary.BigEndian.PutUint16(buf[4:], uint16(len(buf)-ipv6HeaderLen))
		}
		finish(segment{buf, header, offset, n == 0, end == len(payload)})
		emit(buf)
	}
}

func finishUDPSegment(s segment) {
	at := s.header - udpHeaderLen
	binary.BigEndian.PutUint16(s.ip[at+4:], uint16(len(s.ip)-at))
	setTransportChecksum(s.ip, at, protoUDP, udpChecksumField)
}

func finishTCPSegment(s segment) {
	at := ipv6HeaderLen
	if s.ip[0]>>4 == 4 {
		at = int(s.ip[0]&15) * 4
	} else {
		_, at, _ = skipExtensions(s.ip)
	}
	tcp := s.ip[at:]
	binary.BigEndian.PutUint32(tcp[4:], binary.BigEndian.Uint32(tcp[4:])+uint32(s.offset))
	if !s.last {
		tcp[13] &^= tcpFIN | tcpPSH
	}
	if !s.first {
		tcp[13] &^= tcpCWR
	}
	setTransportChecksum(s.ip, at, protoTCP, tcpChecksumField)
}
