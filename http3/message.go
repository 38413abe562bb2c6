package http3

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// parseRequest makes a request of a field section (RFC 9114 §4.3.1). Body,
// context and addresses are the caller's.
func parseRequest(fields []field) (*http.Request, error) {
	h := make(http.Header, len(fields))
	var p pseudo
	for _, f := range fields {
		if f.IsPseudo() {
			if err := p.take(f, ":method", ":scheme", ":authority", ":path"); err != nil {
				return nil, err
			}
			continue
		}
		p.late = true
		if err := addField(h, f); err != nil {
			return nil, err
		}
	}
	method, haveMethod := p.values[":method"]
	if !haveMethod || !validMethod(method) {
		return nil, malformed(":method is %q", method)
	}
	host, err := authority(&p, h)
	if err != nil {
		return nil, err
	}
	u, uri, err := target(&p, method, host)
	if err != nil {
		return nil, err
	}
	length, err := contentLength(h)
	if err != nil {
		return nil, err
	}
	return &http.Request{
		Method: method, URL: u, Host: host, RequestURI: uri, Header: h, ContentLength: length,
		Proto: "HTTP/3.0", ProtoMajor: 3,
	}, nil
}

func validMethod(m string) bool {
	return m != "" && !strings.ContainsFunc(m, func(r rune) bool {
		return r >= 0x7f || r <= ' ' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// authority is the host that a request is for: of :authority, of Host, or of
// both when they agree (RFC 9114 §4.3.1).
func authority(p *pseudo, h http.Header) (string, error) {
	auth, have := p.values[":authority"]
	hosts := h["Host"]
	delete(h, "Host")
	switch {
	case len(hosts) > 1 || have && len(hosts) == 1 && hosts[0] != auth:
		return "", malformed("Host is %q, :authority %q", hosts, auth)
	case !have && len(hosts) == 1:
		auth = hosts[0]
	}
	if auth == "" || strings.Contains(auth, "@") {
		return "", malformed(":authority is %q", auth)
	}
	return auth, nil
}

// target is what a request asks for, and how it says so.
func target(p *pseudo, method, host string) (u *url.URL, uri string, err error) {
	scheme, haveScheme := p.values[":scheme"]
	path, havePath := p.values[":path"]
	if method == http.MethodConnect {
		// RFC 9114 §4.4: CONNECT has neither.
		if haveScheme || havePath {
			return nil, "", malformed("CONNECT with :scheme or :path")
		}
		return &url.URL{Host: host}, host, nil
	}
	// RFC 9114 §4.3.1: both are required, and a path is not empty.
	if !haveScheme || scheme == "" {
		return nil, "", malformed(":scheme is missing")
	}
	if path == "*" && method == http.MethodOptions {
		return &url.URL{Path: "*"}, path, nil
	}
	if !strings.HasPrefix(path, "/") {
		return nil, "", malformed(":path is %q", path)
	}
	if u, err = url.ParseRequestURI(path); err != nil {
		return nil, "", malformed(":path is %q", path)
	}
	return u, path, nil
}

// contentLength is the length that a message declares, -1 for none. Several
// that agree count as one (RFC 9110 §8.6).
func contentLength(h http.Header) (int64, error) {
	values := h["Content-Length"]
	if len(values) == 0 {
		return -1, nil
	}
	for _, v := range values[1:] {
		if v != values[0] {
			return 0, malformed("content-length is %q", values)
		}
	}
	n, err := strconv.ParseUint(values[0], 10, 63)
	if err != nil {
		return 0, malformed("content-length is %q", values[0])
	}
	h["Content-Length"] = values[:1]
	return int64(n), nil
}

// parseResponse makes a response of a field section (RFC 9114 §4.3.2), without
// its body.
func parseResponse(fields []field) (*http.Response, error) {
	h := make(http.Header, len(fields))
	var p pseudo
	for _, f := range fields {
		if f.IsPseudo() {
			if err := p.take(f, ":status"); err != nil {
				return nil, err
			}
			continue
		}
		p.late = true
		if err := addField(h, f); err != nil {
			return nil, err
		}
	}
	code, err := strconv.Atoi(p.values[":status"])
	// RFC 9114 §4.5: 101 has no meaning here.
	if err != nil || len(p.values[":status"]) != 3 || code < 100 || code == http.StatusSwitchingProtocols {
		return nil, malformed(":status is %q", p.values[":status"])
	}
	length, err := contentLength(h)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status: strings.TrimSpace(p.values[":status"] + " " + http.StatusText(code)), StatusCode: code,
		Header: h, ContentLength: length, Proto: "HTTP/3.0", ProtoMajor: 3,
	}, nil
}
