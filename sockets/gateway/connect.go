package gateway

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/seed51309289/quiver/internal/tcpq"
)

// The CONNECT method of HTTP/1 (RFC 9110 §9.3.6), for programs that know proxies but not SOCKS.

// maxRequest bounds the head of a request. limit: what a client can send before it is judged
const maxRequest = 8 << 10

// connect takes a request off rw, of which the first byte was read, and not a byte more. It answers where the request cannot be; else the
// caller does, with connectReply.
func connect(rw io.ReadWriter, first byte, users Users) (target, error) {
	head, err := readHead(rw, first)
	if err != nil {
		return target{}, err
	}
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		rw.Write(connectReply(http.StatusBadRequest))
		return target{}, fmt.Errorf("proxy: neither SOCKS 5 nor HTTP: %w", errRude)
	}
	if req.Method != http.MethodConnect {
		rw.Write(connectReply(http.StatusMethodNotAllowed, "Allow: CONNECT"))
		return target{}, fmt.Errorf("proxy: method %.20q, want CONNECT: %w", req.Method, errRude)
	}
	if users != nil {
		name, password, _ := basic(req.Header.Get("Proxy-Authorization"))
		if !users.have(name, password) {
			rw.Write(connectReply(http.StatusProxyAuthRequired, `Proxy-Authenticate: Basic realm="quiver"`))
			return target{}, fmt.Errorf("proxy: user %.40q: %w", name, errDenied)
		}
	}
	t, err := authority(req.RequestURI)
	if err != nil {
		rw.Write(connectReply(http.StatusBadRequest))
		return target{}, fmt.Errorf("proxy: CONNECT %.100q: %w: %w", req.RequestURI, err, errRude)
	}
	return t, nil
}

// readHead reads byte by byte, as what follows the head belongs to the far side.
func readHead(r io.Reader, first byte) ([]byte, error) {
	head := append(make([]byte, 0, 256), first)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) && !bytes.HasSuffix(head, []byte("\n\n")) {
		if len(head) == maxRequest {
			return nil, fmt.Errorf("proxy: request longer than %d bytes: %w", maxRequest, errRude)
		}
		var b [1]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil, ended(err, "proxy: the connection ended within the request")
		}
		head = append(head, b[0])
	}
	return head, nil
}

// authority reads HOST:PORT.
func authority(s string) (target, error) {
	host, p, err := net.SplitHostPort(s)
	if err != nil {
		return target{}, err
	}
	port, err := strconv.ParseUint(p, 10, 16)
	if err != nil || port == 0 {
		return target{}, fmt.Errorf("port %.20q", p)
	}
	return newTarget(host, uint16(port))
}

// basic reads credentials (RFC 7617 §2).
func basic(header string) (name, password string, ok bool) {
	scheme, text, _ := strings.Cut(header, " ")
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if !strings.EqualFold(scheme, "Basic") || err != nil {
		return "", "", false
	}
	return strings.Cut(string(b), ":")
}

// connectReply is the answer to a request. One that is no success ends the connection.
func connectReply(status int, fields ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	if status != http.StatusOK {
		b.WriteString("Content-Length: 0\r\nConnection: close\r\n")
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

// connectStatus is what HTTP says of a status.
func connectStatus(s tcpq.Status) int {
	switch s {
	case tcpq.Accepted:
		return http.StatusOK
	case tcpq.TimedOut:
		return http.StatusGatewayTimeout
	case tcpq.Denied:
		return http.StatusForbidden
	case tcpq.Overloaded:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadGateway
}
