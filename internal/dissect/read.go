package dissect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// maxFile is the largest capture that is read: a trace is held in memory while
// it is dissected.
const maxFile = 1 << 30 // bytes

// Options say how to read a trace. The zero value is useful.
type Options struct {
	// KeyLogs are the contents of key log files (NSS format), in addition to
	// the secrets that a pcapng file carries itself.
	KeyLogs [][]byte
	// Ports are the UDP ports that mean QUIC; none means 443.
	Ports []uint16
	// AnyPort says that all UDP is QUIC, as in a network that carries nothing else.
	AnyPort bool
}

func (o *Options) isQUIC(src, dst netip.AddrPort) bool {
	if o.AnyPort {
		return true
	}
	if len(o.Ports) == 0 {
		return src.Port() == 443 || dst.Port() == 443
	}
	for _, p := range o.Ports {
		if src.Port() == p || dst.Port() == p {
			return true
		}
	}
	return false
}

// Open dissects the capture file name. The error says that it could not be
// read or is no capture; whatever else is wrong is in Trace.Warnings.
func Open(name string, o Options) (*Trace, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: is larger than %d bytes, want a smaller capture", name, maxFile)
	}
	t, err := Read(data, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// Read dissects a pcap or pcapng file held in memory, which it does not change
// or keep. Errors are as for Open.
func Read(file []byte, o Options) (*Trace, error) {
	src, err := newSource(file)
	if err != nil {
		return nil, err
	}
	d := newDissector(o)
	for _, secrets := range src.secrets {
		d.keys.add(secrets)
	}
	src.each(d)
	d.finish()
	return d.trace, nil
}

// source is a capture file being read, whatever its format.
type source struct {
	ng      *pcapgo.NgReader // nil for pcap
	classic *pcapgo.Reader
	secrets [][]byte // TLS key logs from Decryption Secrets Blocks
}

// Magic numbers of captures in little-endian reading.
const (
	magicNg          = 0x0a0d0d0a
	magicMicros      = 0xa1b2c3d4
	magicNanos       = 0xa1b23c4d
	magicMicrosOther = 0xd4c3b2a1
	magicNanosOther  = 0x4d3cb2a1
)

func newSource(file []byte) (*source, error) {
	if len(file) == 0 {
		return nil, errors.New("is empty, want a pcap or pcapng capture")
	}
	if len(file) < 4 {
		return nil, errors.New("is too short for a pcap or pcapng capture")
	}
	s := &source{}
	var err error
	switch magic := binary.LittleEndian.Uint32(file); magic {
	case magicNg:
		s.secrets = findSecrets(file)
		s.ng, err = pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.NgReaderOptions{
			WantMixedLinkType:  true, // else frames of other links are not counted
			SkipUnknownVersion: true,
		})
	case magicMicros, magicNanos, magicMicrosOther, magicNanosOther:
		s.classic, err = pcapgo.NewReader(bytes.NewReader(file))
	default:
		return nil, fmt.Errorf("starts with %#08x, want a pcap or pcapng capture", magic)
	}
	if err != nil {
		return nil, fmt.Errorf("bad capture header: %w", err)
	}
	return s, nil
}

// next returns the next frame, which is valid until the following call.
func (s *source) next() (data []byte, ci gopacket.CaptureInfo, link layers.LinkType, comment string, err error) {
	if s.ng == nil {
		data, ci, err = s.classic.ZeroCopyReadPacketData()
		return data, ci, s.classic.LinkType(), "", err
	}
	data, ci, opts, err := s.ng.ZeroCopyReadPacketDataWithOptions()
	if err != nil {
		return nil, ci, 0, "", err
	}
	if len(ci.AncillaryData) > 0 {
		link, _ = ci.AncillaryData[0].(layers.LinkType)
	}
	if len(opts.Comments) > 0 {
		comment = opts.Comments[0]
	}
	return data, ci, link, comment, nil
}

// each hands every QUIC datagram of the file to d.
func (s *source) each(d *dissector) {
	t := d.trace
	for len(t.Datagrams) < maxDatagrams {
		data, ci, link, comment, err := s.next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Truncated = true
			t.warn(fmt.Sprintf("the capture breaks off after frame %d: %v", t.Frames, err))
			return
		}
		t.Frames++
		if t.Frames == 1 {
			t.Start = ci.Timestamp
		}
		u, ok := parseFrame(link, data)
		if !ok || !d.options.isQUIC(u.src, u.dst) {
			continue
		}
		d.datagram(t.Frames, ci.Timestamp.Sub(t.Start), &u, comment)
	}
	t.warn(fmt.Sprintf("only the first %d datagrams were read", maxDatagrams))
}

// findSecrets returns the TLS key logs of the file's Decryption Secrets
// Blocks, which the reader of package pcapgo keeps to itself.
func findSecrets(file []byte) (logs [][]byte) {
	const (
		blockSecrets = 0x0000000a
		secretsTLS   = 0x544c534b
		orderMagic   = 0x1a2b3c4d
	)
	var order binary.ByteOrder = binary.LittleEndian
	for len(file) >= 12 {
		if binary.LittleEndian.Uint32(file) == magicNg && binary.BigEndian.Uint32(file[8:]) == orderMagic {
			order = binary.BigEndian
		} else if binary.LittleEndian.Uint32(file) == magicNg {
			order = binary.LittleEndian
		}
		size := order.Uint32(file[4:])
		if size < 12 || uint64(size) > uint64(len(file)) {
			return logs
		}
		body := file[8 : size-4]
		if order.Uint32(file) == blockSecrets && len(body) >= 8 && order.Uint32(body) == secretsTLS {
			n := min(uint64(order.Uint32(body[4:])), uint64(len(body)-8))
			logs = append(logs, body[8:8+n])
		}
		file = file[size:]
	}
	return logs
}
