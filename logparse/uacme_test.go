package logparse

import "testing"

func TestUacme(t *testing.T) {
	testLogs(t, []logTest{
		{
			name: "quiet",
			log: []string{
				`uacme: challenge https://ca.example/acme/chall/1/2/abc failed with status invalid`,
				`uacme: the server reported the following error:`,
				`{`,
				`    "type": "urn:ietf:params:acme:error:dns",`,
				`    "detail": "no such name"`,
				`}`,
				`uacme: failed to authorize order at https://ca.example/acme/order/1/3`,
			},
			want: []string{
				`line 1: run started client=uacme run="line 1"`,
				`line 1: authorization client=uacme run="line 1" authorization=https://ca.example/acme/authz/1/2 status=invalid problem=urn:ietf:params:acme:error:dns detail="no such name" challenge=https://ca.example/acme/chall/1/2/abc challengeStatus=invalid`,
				`line 7: run ended client=uacme run="line 1" exit=error message="failed to authorize order at https://ca.example/acme/order/1/3"`,
			},
		},
		{
			name: "no challenge is taken",
			log: []string{
				`uacme: version 1.8.0 starting on Mon, 23 Nov 2026 21:06:21 +0000`,
				`uacme: order location: https://ca.example/acme/order/1/3`,
				`uacme: retrieving authorization at https://ca.example/acme/authz/1/2`,
				`uacme: running /hook.sh begin dns-01 a.example t k`,
				`uacme: challenge dns-01 declined`,
				`uacme: no challenge completed`,
				`uacme: failed to authorize order at https://ca.example/acme/order/1/3`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T21:06:21Z client=uacme run="line 1" version=1.8.0`,
				`line 2: order time=2026-11-23T21:06:21Z client=uacme run="line 1" order=https://ca.example/acme/order/1/3`,
				`line 3: authorization time=2026-11-23T21:06:21Z client=uacme run="line 1" authorization=https://ca.example/acme/authz/1/2 in=https://ca.example/acme/order/1/3`,
				`line 4: authorization time=2026-11-23T21:06:21Z client=uacme run="line 1" authorization=https://ca.example/acme/authz/1/2 in=https://ca.example/acme/order/1/3 identifier=a.example status=pending`,
				`line 6: failure time=2026-11-23T21:06:21Z client=uacme run="line 1" cause="hook failed" message="no challenge completed" order=https://ca.example/acme/order/1/3 in=https://ca.example/acme/order/1/3 identifier=a.example`,
				`line 7: run ended time=2026-11-23T21:06:21Z client=uacme run="line 1" exit=error message="failed to authorize order at https://ca.example/acme/order/1/3"`,
			},
		},
		{
			name: "killed while a challenge is answered",
			log: []string{
				`uacme: version 1.8.0 starting on Mon, 23 Nov 2026 21:06:21 +0000`,
				`uacme: acme_post: url=https://ca.example/acme/authz/1/2 payload= protected={"alg":"ES256","kid":"https://ca.example/acme/acct/1"} jws={}`,
				`uacme: acme_post: HTTP headers:`,
				`HTTP/2 200`,
				``,
				``,
				`uacme: acme_post: HTTP body:`,
				`{"status":"pending","identifier":{"type":"dns","value":"a.example"},"challenges":[]}`,
				`uacme: acme_post: return code 200, json=`,
				`{}`,
				`uacme: acme_post: url=https://ca.example/acme/chall/1/2/abc payload={} protected={} jws={}`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T21:06:21Z client=uacme account=https://ca.example/acme/acct/1 run="line 1" version=1.8.0`,
				`line 2: authorization time=2026-11-23T21:06:21Z client=uacme account=https://ca.example/acme/acct/1 run="line 1" authorization=https://ca.example/acme/authz/1/2`,
				`line 7: authorization time=2026-11-23T21:06:21Z client=uacme account=https://ca.example/acme/acct/1 run="line 1" authorization=https://ca.example/acme/authz/1/2 identifier=a.example status=pending`,
				`line 11: challenge answered time=2026-11-23T21:06:21Z client=uacme account=https://ca.example/acme/acct/1 run="line 1" authorization=https://ca.example/acme/authz/1/2 challenge=https://ca.example/acme/chall/1/2/abc`,
				`line 11: run stopped time=2026-11-23T21:06:21Z client=uacme account=https://ca.example/acme/acct/1 run="line 1" message="acme_post: url=https://ca.example/acme/chall/1/2/abc payload={} protected={} jws={}"`,
			},
		},
		{
			name: "the CA is not reached",
			log: []string{
				`uacme: version 1.8.0 starting on Mon, 23 Nov 2026 21:06:21 +0000`,
				`uacme: acme_get: curl_get failed`,
				`uacme: failed to fetch directory at https://ca.example/directory`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T21:06:21Z client=uacme run="line 1" version=1.8.0`,
				`line 2: failure time=2026-11-23T21:06:21Z client=uacme run="line 1" cause=network message="acme_get: curl_get failed"`,
				`line 3: run ended time=2026-11-23T21:06:21Z client=uacme run="line 1" exit=error message="failed to fetch directory at https://ca.example/directory"`,
			},
		},
	})
}
