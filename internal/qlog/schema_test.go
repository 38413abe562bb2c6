package qlog

import (
	"slices"
	"strings"
	"testing"
)

// members are the names that the draft gives the members of one event, frame
// or type; those that it requires are marked with "!".
type members string

func (m members) check(t *testing.T, name string, data map[string]any) {
	t.Helper()
	known := strings.Fields(strings.ReplaceAll(string(m), "!", ""))
	for k := range data {
		if !slices.Contains(known, k) && !slices.Contains(ours, k) {
			t.Errorf("%s has a member %q, which the draft does not name", name, k)
		}
	}
	for _, k := range strings.Fields(string(m)) {
		if k, must := strings.CutSuffix(k, "!"); must && data[k] == nil {
			t.Errorf("%s has no member %q, which the draft requires: %v", name, k, data)
		}
	}
}

// ours are members that the draft does not name and allows.
var ours = []string{"frames_truncated", "ecn", "reset_stream_at", "min_ack_delay", "pq_plugins"}

// schema is draft-ietf-quic-qlog-quic-events §4 to §6, as far as we write it.
var schema = map[string]members{
	"connection_started":       "local! remote!",
	"connection_closed":        "initiator connection_error application_error error_code internal_code reason trigger",
	"spin_bit_updated":         "state!",
	"mtu_updated":              "old new! done",
	"version_information":      "server_versions client_versions chosen_version",
	"alpn_information":         "server_alpns client_alpns chosen_alpn",
	"parameters_set":           "initiator original_destination_connection_id initial_source_connection_id retry_source_connection_id stateless_reset_token disable_active_migration max_idle_timeout max_udp_payload_size ack_delay_exponent max_ack_delay active_connection_id_limit initial_max_data initial_max_stream_data_bidi_local initial_max_stream_data_bidi_remote initial_max_stream_data_uni initial_max_streams_bidi initial_max_streams_uni preferred_address unknown_parameters max_datagram_frame_size grease_quic_bit",
	"packet_sent":              "header! frames supported_versions raw datagram_id is_mtu_probe_packet trigger",
	"packet_received":          "header! frames supported_versions raw datagram_id trigger",
	"packet_dropped":           "header raw datagram_id details trigger",
	"packet_buffered":          "header raw datagram_id trigger",
	"packet_lost":              "header frames is_mtu_probe_packet trigger",
	"timer_updated":            "timer_type timer_id packet_number_space event_type! delta",
	"key_updated":              "key_type! old new key_phase trigger",
	"key_discarded":            "key_type! key key_phase trigger",
	"recovery_metrics_updated": "min_rtt smoothed_rtt latest_rtt rtt_variance pto_count congestion_window bytes_in_flight ssthresh packets_in_flight pacing_rate",
	"congestion_state_updated": "old new! trigger",
	"ecn_state_updated":        "old new!",
	"recovery_parameters_set":  "reordering_threshold time_threshold timer_granularity initial_rtt max_datagram_size initial_congestion_window minimum_congestion_window loss_reduction_factor persistent_congestion_threshold",
	"tuple_assigned":           "tuple_id! tuple_remote tuple_local",
	"migration_state_updated":  "old new! tuple_id tuple_remote tuple_local",
}

// frameSchema is draft-ietf-quic-qlog-quic-events §8.13.
var frameSchema = map[string]members{
	"padding":              "frame_type! raw",
	"ping":                 "frame_type! raw",
	"ack":                  "frame_type! ack_delay acked_ranges ect1 ect0 ce raw",
	"reset_stream":         "frame_type! stream_id! error! error_code final_size! raw",
	"stop_sending":         "frame_type! stream_id! error! error_code raw",
	"crypto":               "frame_type! offset! raw!",
	"new_token":            "frame_type! token! raw",
	"stream":               "frame_type! stream_id! offset fin raw",
	"max_data":             "frame_type! maximum! raw",
	"max_stream_data":      "frame_type! stream_id! maximum! raw",
	"max_streams":          "frame_type! stream_type! maximum! raw",
	"data_blocked":         "frame_type! limit! raw",
	"stream_data_blocked":  "frame_type! stream_id! limit! raw",
	"streams_blocked":      "frame_type! stream_type! limit! raw",
	"new_connection_id":    "frame_type! sequence_number! retire_prior_to! connection_id_length connection_id! stateless_reset_token raw",
	"retire_connection_id": "frame_type! sequence_number! raw",
	"path_challenge":       "frame_type! data raw",
	"path_response":        "frame_type! data raw",
	"connection_close":     "frame_type! error_space error error_code reason reason_bytes trigger_frame_type raw",
	"handshake_done":       "frame_type! raw",
	"datagram":             "frame_type! raw",
	// Not in the draft, which leaves other frames to other documents.
	"reset_stream_at": "frame_type! stream_id! error! error_code final_size! reliable_size! raw",
	"ack_frequency":   "frame_type! sequence_number! ack_eliciting_threshold! requested_max_ack_delay! reordering_threshold! raw",
	"immediate_ack":   "frame_type! raw",
	"plugin_offer":    "frame_type! sequence_number! local! digest! id! version! size! packed_size! mode! frame_types first_frame_type config_length!",
	"plugin_answer":   "frame_type! sequence_number! local! status! code reason",
	"plugin_data":     "frame_type! local! offset! fin raw!",
	"max_plugin_data": "frame_type! local! maximum!",
	"plugin_ready":    "frame_type! sequence_number! local!",
	"plugin_detach":   "frame_type! sequence_number! local! code reason",
	"plugin_event":    "frame_type! sequence_number! local! raw!",
	"plugin_keep":     "frame_type! sequence_number! raw!",
	"plugin":          "frame_type! frame_type_bytes! raw!",
	"unknown":         "frame_type! frame_type_bytes! raw",
}
