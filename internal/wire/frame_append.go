package wire

// SizeStreamHeader returns the bytes in front of the data of a STREAM frame
// with a length field of two bytes.
func SizeStreamHeader(id, offset uint64) int {
	n := 1 + SizeVarint(id) + 2
	if offset > 0 {
		n += SizeVarint(offset)
	}
	return n
}

// AppendStreamHeader appends a STREAM frame up to its data, of which length
// (below 2^14) bytes follow. It always carries a length, so that frames may
// follow (RFC 9000 §19.8).
func AppendStreamHeader(b []byte, id, offset uint64, length int, fin bool) []byte {
	t := byte(FrameStream) | 2
	if offset > 0 {
		t |= 4
	}
	if fin {
		t |= 1
	}
	b = AppendVarint(append(b, t), id)
	if offset > 0 {
		b = AppendVarint(b, offset)
	}
	return AppendVarint2(b, uint64(length))
}

// SizeCryptoHeader returns the bytes in front of the data of a CRYPTO frame
// with a length field of two bytes.
func SizeCryptoHeader(offset uint64) int { return 1 + SizeVarint(offset) + 2 }

// AppendCryptoHeader appends a CRYPTO frame up to its data, of which length
// (below 2^14) bytes follow (RFC 9000 §19.6).
func AppendCryptoHeader(b []byte, offset uint64, length int) []byte {
	b = AppendVarint(append(b, byte(FrameCrypto)), offset)
	return AppendVarint2(b, uint64(length))
}

// SizeDatagramHeader returns the bytes in front of the length bytes of data of
// a DATAGRAM frame that has a length.
func SizeDatagramHeader(length int) int { return 1 + SizeVarint(uint64(length)) }

// AppendDatagram appends a DATAGRAM frame with a length, so that frames may
// follow (RFC 9221 §4).
func AppendDatagram(b, data []byte) []byte {
	return appendBytes(append(b, byte(FrameDatagramLength)), data)
}

// AppendFrame appends f, any frame but PADDING, ACK, STREAM, CRYPTO and
// DATAGRAM, which have writers of their own.
func AppendFrame(b []byte, f *Frame) []byte {
	b = AppendVarint(b, uint64(f.Type))
	switch f.Type {
	case FramePing, FrameHandshakeDone, FrameImmediateAck:
	case FrameResetStream:
		b = AppendVarint(b, f.StreamID)
		b = AppendVarint(b, f.Code)
		b = AppendVarint(b, f.FinalSize)
	case FrameStopSending:
		b = AppendVarint(b, f.StreamID)
		b = AppendVarint(b, f.Code)
	case FrameNewToken:
		b = appendBytes(b, f.Data)
	case FrameMaxStreamData, FrameStreamDataBlocked:
		b = AppendVarint(b, f.StreamID)
		b = AppendVarint(b, f.Limit)
	case FrameMaxData, FrameDataBlocked, FrameMaxStreamsBidi, FrameMaxStreamsUni,
		FrameStreamsBlockedBidi, FrameStreamsBlockedUni:
		b = AppendVarint(b, f.Limit)
	case FrameNewConnectionID:
		b = AppendVarint(b, f.Sequence)
		b = AppendVarint(b, f.RetirePriorTo)
		b = appendConnID(b, f.ConnID)
		b = append(b, f.ResetToken[:]...)
	case FrameRetireConnectionID:
		b = AppendVarint(b, f.Sequence)
	case FramePathChallenge, FramePathResponse:
		b = append(b, f.Path[:]...)
	case FrameConnectionClose:
		b = AppendVarint(b, f.Code)
		b = AppendVarint(b, uint64(f.Culprit))
		b = appendBytes(b, f.Data)
	case FrameApplicationClose:
		b = AppendVarint(b, f.Code)
		b = appendBytes(b, f.Data)
	case FrameResetStreamAt:
		b = AppendVarint(b, f.StreamID)
		b = AppendVarint(b, f.Code)
		b = AppendVarint(b, f.FinalSize)
		b = AppendVarint(b, f.Reliable)
	case FrameAckFrequency:
		b = AppendVarint(b, f.Sequence)
		b = AppendVarint(b, f.Threshold)
		b = AppendVarint(b, f.MaxDelay)
		b = AppendVarint(b, f.Reordering)
	default:
		if f.Type.IsPlugin() || f.Type.IsPluginControl() {
			return appendPlugin(b, f)
		}
		panic("BUG: AppendFrame cannot write " + f.Type.String())
	}
	return b
}

func appendBytes(b, p []byte) []byte {
	b = AppendVarint(b, uint64(len(p)))
	return append(b, p...)
}
