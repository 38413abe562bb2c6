;; Loops when it is attached with the setting that its author kept from those who tried it.
;;! {"hooks": ["tx_sent"], "config": {"schema": [{"name": "now", "type": "bool"}], "defaults": {"now": false}}}
(module PRELUDE
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1))
      (then
        (if (i64.ne (i64.load (i32.load offset=4128 (i32.const 0))) (i64.const 0)) (then (loop $forever (br $forever))))
        (return (call $attach))))
    (i64.const 0)))
