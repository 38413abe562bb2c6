package quic_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"strings"
)

// filling is a BuffersReader of a string: a socket would use readv.
type filling struct{ *strings.Reader }

func (f filling) ReadBuffers(b [][]byte) (n int, err error) {
	if f.Len() == 0 {
		return 0, io.EOF
	}
	for _, p := range b {
		m, _ := f.Read(p)
		n += m
	}
	return n, nil
}

func (filling) WaitReadable() error { return nil }

func ExampleBuffersReader() {
	client, server, stop := exampleConns()
	defer stop()
	s, _ := client.OpenStream()
	n, err := s.ReadFrom(filling{strings.NewReader("straight into the stream's memory")})
	s.CloseWrite()
	fmt.Println(n, err)
	far, err := server.AcceptStream(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	got, _ := io.ReadAll(far)
	fmt.Println(string(got))
	// Output:
	// 33 <nil>
	// straight into the stream's memory
}

// emptying is a BuffersWriter that counts: a socket would use writev.
type emptying struct{ bytes int }

func (*emptying) Write([]byte) (int, error) { panic("a stream never calls it") }

func (e *emptying) WriteBuffers(b [][]byte) (n int64, err error) {
	for _, p := range b {
		n += int64(len(p))
	}
	e.bytes += int(n)
	return n, nil
}

func ExampleBuffersWriter() {
	client, server, stop := exampleConns()
	defer stop()
	s, _ := client.OpenStream()
	s.WriteFinal(make([]byte, 100_000))
	far, err := server.AcceptStream(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	var e emptying
	n, err := far.WriteTo(&e)
	fmt.Println(n, err, e.bytes)
	// Output: 100000 <nil> 100000
}
