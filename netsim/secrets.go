package netsim

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	blockSectionHeader = 0x0a0d0d0a
	blockSecrets       = 0x0000000a
	byteOrderMagic     = 0x1a2b3c4d
	secretsTLSKeyLog   = 0x544c534b
	maxSectionHeader   = 1 << 16 // bytes
	maxKeyLog          = 64 << 20
)

// EmbedSecrets rewrites the pcapng trace at path with the TLS key log (NSS format) in a Decryption Secrets
// Block before the packets, so that the trace can be read without further files. The file is replaced as a
// whole or, on an error, not at all. A block that an earlier call put there is replaced, too.
func EmbedSecrets(path string, keylog []byte) error {
	if len(keylog) > maxKeyLog {
		return fmt.Errorf("netsim: key log has %d bytes, at most %d fit a trace", len(keylog), maxKeyLog)
	}
	in, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("netsim: embed secrets: %w", err)
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("netsim: embed secrets: %w", err)
	}
	defer os.Remove(out.Name()) // fails once the file has its new name
	w := bufio.NewWriterSize(out, traceBuffer)
	err = copyWithSecrets(w, bufio.NewReaderSize(in, traceBuffer), keylog)
	err = errors.Join(err, w.Flush(), takeMode(out, in), out.Close())
	if err != nil {
		return fmt.Errorf("netsim: embed secrets in %s: %w", path, err)
	}
	return os.Rename(out.Name(), path)
}

func takeMode(out, in *os.File) error {
	info, err := in.Stat()
	if err != nil {
		return err
	}
	return out.Chmod(info.Mode().Perm())
}

// copyWithSecrets copies a pcapng stream and puts the block of secrets right behind the section header.
func copyWithSecrets(w io.Writer, r *bufio.Reader, keylog []byte) error {
	head, err := r.Peek(12)
	if err != nil || binary.LittleEndian.Uint32(head) != blockSectionHeader {
		return errors.New("not a pcapng file")
	}
	var order byteOrder = binary.LittleEndian
	if binary.BigEndian.Uint32(head[8:]) == byteOrderMagic {
		order = binary.BigEndian
	}
	length := order.Uint32(head[4:])
	if length < 28 || length > maxSectionHeader || length%4 != 0 {
		return fmt.Errorf("section header has %d bytes, want 28 to %d", length, maxSectionHeader)
	}
	if _, err := io.CopyN(w, r, int64(length)); err != nil {
		return err
	}
	if err := skipSecrets(r, order); err != nil {
		return err
	}
	if _, err := w.Write(secretsBlock(order, keylog)); err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return err
}

// skipSecrets drops the block of secrets at the present position, if there is one.
func skipSecrets(r *bufio.Reader, order byteOrder) error {
	head, err := r.Peek(8)
	if err != nil || order.Uint32(head) != blockSecrets {
		return nil // the trace may end here
	}
	_, err = io.CopyN(io.Discard, r, int64(order.Uint32(head[4:])))
	return err
}

// secretsBlock is a Decryption Secrets Block: type, length, kind of secrets, their length, the secrets
// padded to four bytes, length again.
func secretsBlock(order byteOrder, keylog []byte) []byte {
	padded := append(bytes.Clone(keylog), make([]byte, -len(keylog)&3)...)
	total := uint32(20 + len(padded))
	b := make([]byte, 16, total)
	order.PutUint32(b, blockSecrets)
	order.PutUint32(b[4:], total)
	order.PutUint32(b[8:], secretsTLSKeyLog)
	order.PutUint32(b[12:], uint32(len(keylog)))
	b = append(b, padded...)
	return order.AppendUint32(b, total)
}

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}
