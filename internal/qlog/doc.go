// Package qlog writes what a connection does as qlog: JSON text sequences
// (RFC 7464) of the events of draft-ietf-quic-qlog-quic-events-13 in the frame
// of draft-ietf-quic-qlog-main-schema-14, one trace per file, by custom
// in a file named ODCID_client.sqlog or ODCID_server.sqlog.
//
// The writer builds every event by hand in one buffer that it reuses, so that
// a connection that is being watched does not allocate for it. What a peer can
// put into a log is bounded, per string, per frame and per event, whatever it
// sends.
//
// Limitations: the header also has the qlog_version and qlog_format members of
// qlog 0.3, without which qvis refuses a file; a qvis that knows only the event
// categories of 0.3 loads the file but draws the events of the "quic" namespace
// in no diagram.
package qlog
