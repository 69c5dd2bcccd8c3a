package logparse

import "testing"

func TestAnsible(t *testing.T) { testLogs(t, ansibleLogs()) }

func ansibleLogs() []logTest {
	return []logTest{
		{
			name: "an order, then a challenge that fails, over several lines",
			log: []string{
				`ansible-playbook [core 2.19.0]`,
				`PLAY [web] *********`,
				``,
				`TASK [order] *********`,
				`Monday 23 November 2026  21:18:41 +0100 (0:00:00.415)       0:00:47.767 **********`,
				`changed: [web01 -> localhost] => {`,
				`    "account_uri": "https://ca.example/acct/1",`,
				`    "authorizations": {`,
				`        "*.b.example": {"status": "valid", "identifier": {"type": "dns", "value": "b.example"}, "wildcard": true, "challenges": [], "uri": "https://ca.example/authz/x7Yq2LmP9vTzW4bN"},`,
				`        "a.example": {"status": "pending", "identifier": {"type": "dns", "value": "a.example"}, "challenges": [], "uri": "https://ca.example/authz/A7Yq2LmP9vTzW4bN"}`,
				`    },`,
				`    "changed": true,`,
				`    "order_uri": "https://ca.example/order/9"`,
				`}`,
				`TASK [finish] *********`,
				`fatal: [web01 -> localhost]: FAILED! => {`,
				`    "msg": "Failed to validate challenge for dns:a.example: Status is \"invalid\". Challenge dns-01: Error urn:ietf:params:acme:error:dns: \"no such name\".",`,
				`    "other": {`,
				`        "authorization": {"status": "invalid", "identifier": {"type": "dns", "value": "a.example"}, "uri": "https://ca.example/authz/A7Yq2LmP9vTzW4bN",`,
				`            "challenges": [{"type": "dns-01", "status": "invalid", "url": "https://ca.example/c/2", "error": {"type": "urn:ietf:params:acme:error:dns", "detail": "no such name"}}]},`,
				`        "identifier": "dns:a.example"`,
				`    }`,
				`}`,
				``,
				`PLAY RECAP *********`,
				`web01                      : ok=3    changed=1    unreachable=0    failed=1    skipped=0    rescued=0    ignored=0`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T20:18:41Z client=ansible account=https://ca.example/acct/1 run="line 1" version=2.19.0`,
				`line 6: order time=2026-11-23T20:18:41Z client=ansible account=https://ca.example/acct/1 run="line 1" order=https://ca.example/order/9 name=*.b.example name=a.example authorization=https://ca.example/authz/x7Yq2LmP9vTzW4bN authorization=https://ca.example/authz/A7Yq2LmP9vTzW4bN`,
				`line 6: authorization time=2026-11-23T20:18:41Z client=ansible account=https://ca.example/acct/1 run="line 1" authorization=https://ca.example/authz/x7Yq2LmP9vTzW4bN in=https://ca.example/order/9 identifier=b.example wildcard=true status=valid`,
				`line 6: authorization time=2026-11-23T20:18:41Z client=ansible account=https://ca.example/acct/1 run="line 1" authorization=https://ca.example/authz/A7Yq2LmP9vTzW4bN in=https://ca.example/order/9 identifier=a.example status=pending`,
				`line 16: challenge answered time=2026-11-23T20:18:41Z client=ansible account=https://ca.example/acct/1 run="line 1" authorization=https://ca.example/authz/A7Yq2LmP9vTzW4bN identifier=a.example challenge=https://ca.example/c/2 type=dns-01 challengeStatus=invalid`,
				`line 16: authorization time=2026-11-23T20:18:41Z client=ansible account=https://ca.example/acct/1 run="line 1" authorization=https://ca.example/authz/A7Yq2LmP9vTzW4bN identifier=a.example status=invalid problem=urn:ietf:params:acme:error:dns detail="no such name"`,
				`line 26: run ended time=2026-11-23T20:18:41Z client=ansible account=https://ca.example/acct/1 run="line 1" exit=error message="web01                      : ok=3    changed=1    unreachable=0    failed=1    skipped=0    rescued=0    ignored=0"`,
			},
		},
		{
			name: "single steps with success, in a log",
			log: []string{
				`2026-11-23 21:18:41,123 p=42 u=root n=ansible INFO| PLAY [web] *********`,
				`2026-11-23 21:18:41,123 p=42 u=root n=ansible INFO| TASK [order] *********`,
				`2026-11-23 21:18:41,123 p=42 u=root n=ansible INFO| changed: [web01] => {"account_uri": "https://ca.example/acct/1", "challenge_data": [], "changed": true, "order_uri": "https://ca.example/order/9"}`,
				`2026-11-23 21:18:42,123 p=42 u=root n=ansible INFO| changed: [web01] => (item=a) => {"account_uri": "https://ca.example/acct/1", "changed": true, "validating_challenges": [{"authz_url": "https://ca.example/authz/A7Yq2LmP9vTzW4bN", "challenge_type": "http-01", "challenge_url": "https://ca.example/c/2", "identifier": "*.a.example", "identifier_type": "dns"}]}`,
				`2026-11-23 21:18:43,123 p=42 u=root n=ansible INFO| ok: [web01] => {"account_uri": "https://ca.example/acct/1", "authorizations_by_identifier": {"dns:a.example": {"identifier": {"type": "dns", "value": "a.example"}, "status": "valid", "uri": "https://ca.example/authz/A7Yq2LmP9vTzW4bN"}}, "order": {"status": "ready", "authorizations": ["https://ca.example/authz/A7Yq2LmP9vTzW4bN"], "identifiers": [{"type": "dns", "value": "a.example"}]}, "order_uri": "https://ca.example/order/9"}`,
				`2026-11-23 21:18:44,123 p=42 u=root n=ansible INFO| PLAY RECAP *********`,
				`2026-11-23 21:18:44,123 p=42 u=root n=ansible INFO| web01  : ok=3    changed=2    unreachable=0    failed=0`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T20:18:41.123Z client=ansible account=https://ca.example/acct/1 run="line 1"`,
				`line 3: order time=2026-11-23T20:18:41.123Z client=ansible account=https://ca.example/acct/1 run="line 1" order=https://ca.example/order/9`,
				`line 4: challenge answered time=2026-11-23T20:18:42.123Z client=ansible account=https://ca.example/acct/1 run="line 1" authorization=https://ca.example/authz/A7Yq2LmP9vTzW4bN identifier=a.example wildcard=true challenge=https://ca.example/c/2 type=http-01`,
				`line 5: order time=2026-11-23T20:18:43.123Z client=ansible account=https://ca.example/acct/1 run="line 1" order=https://ca.example/order/9 status=ready name=a.example authorization=https://ca.example/authz/A7Yq2LmP9vTzW4bN`,
				`line 5: authorization time=2026-11-23T20:18:43.123Z client=ansible account=https://ca.example/acct/1 run="line 1" authorization=https://ca.example/authz/A7Yq2LmP9vTzW4bN in=https://ca.example/order/9 identifier=a.example status=valid`,
				`line 6: run ended time=2026-11-23T20:18:44.123Z client=ansible account=https://ca.example/acct/1 run="line 1"`,
			},
		},
		{
			name: "rate limited, not reached, and killed; other modules fail without a trace",
			log: []string{
				`fatal: [web01]: FAILED! => {"changed": false, "msg": "Failed to start new order for https://ca.example/new-order with status 429 Too Many Requests. Error urn:ietf:params:acme:error:rateLimited: \"too many\".", "other": {"http_status": 429, "http_url": "https://ca.example/new-order", "problem": {"detail": "too many", "type": "urn:ietf:params:acme:error:rateLimited"}, "subproblems": []}}`,
				`fatal: [web02]: FAILED! => {"changed": false, "msg": "ACME request failed for https://ca.example/directory with error: timed out.", "other": {"http_status": -1, "http_url": "https://ca.example/directory"}}`,
				`fatal: [web03]: FAILED! => {"changed": false, "msg": "no such file"}`,
				`TASK [finish] *********`,
			},
			want: []string{
				`line 1: run started client=ansible run="line 1"`,
				`line 1: problem client=ansible run="line 1" problem=urn:ietf:params:acme:error:rateLimited httpStatus=429 detail="too many" request=https://ca.example/new-order`,
				`line 2: failure client=ansible run="line 1" cause=network message="ACME request failed for https://ca.example/directory with error: timed out."`,
				`line 4: run stopped client=ansible run="line 1" message="TASK [finish] *********"`,
			},
		},
		{
			name: "nothing about ACME, and then something",
			log: []string{
				`PLAY [web] *********`,
				`TASK [ping] *********`,
				`ok: [web01] => {"ping": "pong"}`,
				`PLAY RECAP *********`,
				`web01  : ok=1    changed=0    unreachable=0    failed=0`,
				`PLAY [web] *********`,
				`ok: [web01] => {"msg": "see https://ca.example/acme/authz/1/2"}`,
				`TASK [ping] *********`,
			},
			want: []string{
				`line 6: run started client=ansible run="line 6"`,
				`line 7: authorization client=ansible run="line 6" authorization=https://ca.example/acme/authz/1/2`,
				`line 8: run stopped client=ansible run="line 6" message="TASK [ping] *********"`,
			},
		},
		{
			name: "cut within a result",
			log: []string{
				`changed: [web01] => {`,
				`    "authorizations": {`,
				`        "a.example": {"status": "pending", "identifier": {"type": "dns", "value": "a.example"}, "uri": "https://ca.example/authz/A7Yq2LmP9vTzW4bN"}`,
			},
			want: []string{
				`line 1: run started client=ansible run="line 1"`,
				`line 1: authorization client=ansible run="line 1" authorization=https://ca.example/authz/A7Yq2LmP9vTzW4bN identifier=a.example status=pending`,
				`line 1: run stopped client=ansible run="line 1" message="changed: [web01] => "`,
			},
		},
	}
}
