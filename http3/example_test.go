package http3_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/seed51309289/quiver/http3"
	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/quic"
)

// exampleServer runs h on loopback and returns its URL and a client's Transport.
func exampleServer(h http.HandlerFunc) (url string, client *http3.Transport, stop func()) {
	clientTLS, serverTLS := quictest.TLSConfigs(time.Now(), http3.ALPN)
	sock, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		log.Fatal(err)
	}
	s := &http3.Server{Handler: h, TLSConfig: serverTLS}
	go s.Serve(sock)
	client = &http3.Transport{TLSClientConfig: clientTLS}
	return "https://" + sock.LocalAddr().String(), client, func() {
		client.Close()
		s.Close()
	}
}

func ExampleServer() {
	clientTLS, serverTLS := quictest.TLSConfigs(time.Now(), http3.ALPN)
	sock, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		log.Fatal(err)
	}
	s := &http3.Server{
		TLSConfig: serverTLS,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s over %s", r.URL.Path, r.Proto)
		}),
	}
	done := make(chan error)
	go func() { done <- s.Serve(sock) }()

	client := &http3.Transport{TLSClientConfig: clientTLS}
	resp, err := (&http.Client{Transport: client}).Get("https://" + sock.LocalAddr().String() + "/index")
	if err != nil {
		log.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s\n", body)
	client.Close()
	s.Shutdown(context.Background())
	fmt.Println(<-done)
	// Output:
	// /index over HTTP/3.0
	// http: Server closed
}

func ExampleTransport() {
	url, transport, stop := exampleServer(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	defer stop()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	resp, err := client.Post(url, "text/plain", http.NoBody)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Proto, resp.Status)
	// Output: HTTP/3.0 200 OK
}

// For one connection that the program dials itself.
func ExampleClientConn() {
	url, transport, stop := exampleServer(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	defer stop()
	c, err := quic.DialAddr(context.Background(), url[len("https://"):], alpn(transport), nil)
	if err != nil {
		log.Fatal(err)
	}
	conn, err := http3.NewClientConn(c)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	r, _ := http.NewRequest(http.MethodGet, url, nil)
	resp, err := conn.RoundTrip(r)
	if err != nil {
		log.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s\n", body)
	// Output: hello
}

// alpn is the TLS configuration of a Transport for a connection of one's own.
func alpn(t *http3.Transport) *tls.Config {
	c := t.TLSClientConfig.Clone()
	c.NextProtos = []string{http3.ALPN}
	return c
}

func ExampleError() {
	url, transport, stop := exampleServer(func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	defer stop()
	r, _ := http.NewRequest(http.MethodGet, url, nil)
	_, err := transport.RoundTrip(r)
	if e, ok := errors.AsType[*http3.Error](err); ok {
		fmt.Println(e.Code == http3.InternalError, e.Remote, e)
	}
	// Output: true true http3: peer: H3_INTERNAL_ERROR
}

func ExampleErrCode() {
	fmt.Println(http3.MessageError, http3.ErrCode(0x1234))
	// Output: H3_MESSAGE_ERROR HTTP/3 error 0x1234
}
