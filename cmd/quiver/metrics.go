package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/seed51309289/quiver/quic"
)

// metrics answers GET /metrics with what a Transport counted, in the text
// format of Prometheus.
type metrics struct {
	transport atomic.Pointer[quic.Transport] // nil = not yet
	http      http.Server
}

// serveMetrics listens on addr until close is called. "" = nowhere.
func serveMetrics(addr string, talk io.Writer) (*metrics, error) {
	m := &metrics{}
	if addr == "" {
		return m, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--metrics %s: %w", addr, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", m.answer)
	m.http.Handler, m.http.ReadHeaderTimeout = mux, 10*time.Second
	fmt.Fprintf(talk, "Metrics on http://%s/metrics\n", l.Addr())
	go m.http.Serve(l) // until close, which is its only error worth a word
	return m, nil
}

func (m *metrics) close() { m.http.Close() }

func (m *metrics) answer(w http.ResponseWriter, _ *http.Request) {
	t := m.transport.Load()
	if t == nil {
		http.Error(w, "not serving yet", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	writeMetrics(w, t.Stats(), t.SocketStats())
}

// writeMetrics writes all metrics. Names are part of the program's interface.
func writeMetrics(w io.Writer, s quic.TransportStats, sockets []quic.SocketStats) {
	metric := func(name, kind, help string, value any) {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %[1]s %[3]s\n%[1]s %[4]v\n", name, help, kind, value)
	}
	const gauge, counter = "gauge", "counter"
	metric("quiver_connections", gauge, "Connections that are not over.", s.Connections)
	metric("quiver_connections_begun_total", counter, "Connections that ever began.", s.ConnectionsBegun)
	metric("quiver_handshakes_completed_total", counter, "Handshakes that were completed.", s.HandshakesCompleted)
	metric("quiver_handshakes_failed_total", counter, "Connections that ended without a completed handshake.", s.HandshakesFailed)
	metric("quiver_streams", gauge, "Streams that are open.", s.StreamsActive)
	metric("quiver_streams_opened_total", counter, "Streams that the server opened.", s.StreamsOpened)
	metric("quiver_streams_accepted_total", counter, "Streams that clients opened.", s.StreamsAccepted)
	metric("quiver_packets_sent_total", counter, "QUIC packets sent.", s.PacketsSent)
	metric("quiver_packets_received_total", counter, "QUIC packets received.", s.PacketsReceived)
	metric("quiver_packets_lost_total", counter, "Packets sent that were declared lost.", s.PacketsLost)
	metric("quiver_packets_dropped_total", counter, "Packets received that were not understood, or came twice.", s.PacketsDropped)
	metric("quiver_bytes_sent_total", counter, "Bytes of UDP payload sent.", s.BytesSent)
	metric("quiver_bytes_received_total", counter, "Bytes of UDP payload received.", s.BytesReceived)
	metric("quiver_bytes_resent_total", counter, "Bytes of streams and handshakes sent more than once.", s.BytesResent)
	metric("quiver_datagrams_sent_total", counter, "Unreliable datagrams sent.", s.DatagramsSent)
	metric("quiver_datagrams_received_total", counter, "Unreliable datagrams received.", s.DatagramsReceived)

	perSocket := func(name, kind, help string, value func(s *quic.SocketStats) any) {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %[1]s %[3]s\n", name, help, kind)
		for i := range sockets {
			fmt.Fprintf(w, "%s{socket=\"%d\"} %v\n", name, i, value(&sockets[i]))
		}
	}
	perSocket("quiver_socket_receive_buffer_bytes", gauge, "Receive buffer that the system granted.", func(s *quic.SocketStats) any { return s.ReceiveBuffer })
	perSocket("quiver_socket_send_buffer_bytes", gauge, "Send buffer that the system granted.", func(s *quic.SocketStats) any { return s.SendBuffer })
	perSocket("quiver_socket_overflow_total", counter, "Datagrams that found the receive buffer full.", func(s *quic.SocketStats) any { return s.Overflow })
	perSocket("quiver_socket_truncated_total", counter, "Datagrams that were cut, and so dropped.", func(s *quic.SocketStats) any { return s.Truncated })
}
