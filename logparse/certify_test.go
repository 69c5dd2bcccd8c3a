package logparse

import "testing"

func TestCertify(t *testing.T) { testLogs(t, certifyLogs()) }

func certifyLogs() []logTest {
	const at = `2026-11-23 21:18:41.123 +01:00 `
	return []logTest{
		{
			name: "a validation fails, and then the CA's limit is reached",
			log: []string{
				at + `[INF] ---- Beginning Request [My site] ----`,
				at + `[INF] Certify/6.1.1.0 (Windows; NT 10) `,
				at + `[INF] Beginning certificate request process: My site using ACME provider Anvil`,
				at + `[INF] Requested identifiers to include on certificate: a.example;*.b.example`,
				at + `[INF] Created ACME Order: https://ca.example/acme/order/1/9`,
				at + `[VRB] Fetching Authorizations.`,
				at + `[DBG] Fetching Authz Challenges: https://ca.example/acme/authz/1/2`,
				at + `[INF] Got http-01 challenge https://ca.example/acme/chall/1/2/abc`,
				at + `[INF] Preparing automated challenge responses for: a.example`,
				at + `[INF] Authorization already valid for *.b.example`,
				at + `[INF] Attempting challenge response validation for: a.example`,
				at + `[INF] Submitting challenge for validation: a.example http://a.example/.well-known/acme-challenge/t`,
				at + `[INF] Waiting for the CA to validate the http-01 challenge response for: a.example [https://ca.example/acme/chall/1/2/abc]`,
				at + `[ERR] [Progress] Validation failed: a.example `,
				`Response from Certificate Authority: Invalid response [1.2.3.4]: 404 [Forbidden :: urn:ietf:params:acme:error:unauthorized]`,
				at + `[ERR] Validation of the required challenges did not complete successfully. Validation failed: a.example `,
				`Response from Certificate Authority: Invalid response [1.2.3.4]: 404 [Forbidden :: urn:ietf:params:acme:error:unauthorized]`,
				at + `[INF] ---- Beginning Request [My site] ----`,
				at + `[WRN] Error creating new order`,
				at + `[WRN] Encountered a rate limit while communicating with the ACME API`,
				at + `[ERR] urn:ietf:params:acme:error:rateLimited :: too many`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T20:18:41.123Z client=certify run="line 1" version=6.1.1.0`,
				`line 5: order time=2026-11-23T20:18:41.123Z client=certify run="line 1" order=https://ca.example/acme/order/1/9 name=a.example name=*.b.example`,
				`line 7: authorization time=2026-11-23T20:18:41.123Z client=certify run="line 1" authorization=https://ca.example/acme/authz/1/2`,
				`line 9: authorization time=2026-11-23T20:18:41.123Z client=certify run="line 1" in=https://ca.example/acme/order/1/9 identifier=a.example status=pending`,
				`line 10: authorization time=2026-11-23T20:18:41.123Z client=certify run="line 1" in=https://ca.example/acme/order/1/9 identifier=b.example wildcard=true status=valid`,
				`line 12: challenge answered time=2026-11-23T20:18:41.123Z client=certify run="line 1" in=https://ca.example/acme/order/1/9 identifier=a.example`,
				`line 13: authorization time=2026-11-23T20:18:41.123Z client=certify run="line 1" authorization=https://ca.example/acme/authz/1/2 in=https://ca.example/acme/order/1/9 identifier=a.example status=pending challenge=https://ca.example/acme/chall/1/2/abc type=http-01`,
				`line 14: authorization time=2026-11-23T20:18:41.123Z client=certify run="line 1" in=https://ca.example/acme/order/1/9 identifier=a.example status=invalid problem=urn:ietf:params:acme:error:unauthorized httpStatus=403 detail="Invalid response [1.2.3.4]: 404"`,
				`line 16: run ended time=2026-11-23T20:18:41.123Z client=certify run="line 1" exit=error message="Validation of the required challenges did not complete successfully. Validation failed: a.example"`,
				`line 18: run started time=2026-11-23T20:18:41.123Z client=certify run="line 18"`,
				`line 21: problem time=2026-11-23T20:18:41.123Z client=certify run="line 18" problem=urn:ietf:params:acme:error:rateLimited detail="too many"`,
				`line 21: run stopped time=2026-11-23T20:18:41.123Z client=certify run="line 18" message="urn:ietf:params:acme:error:rateLimited :: too many"`,
			},
		},
		{
			name: "success, then a DNS provider that refuses, then killed",
			log: []string{
				at + `[INF] ---- Beginning Request [My site] ----`,
				at + `[INF] Requested identifiers to include on certificate: a.example`,
				at + `[INF] Created ACME Order: https://ca.example/acme/order/1/9`,
				at + `[INF] Order is ready and valid. Auth challenges will not be re-attempted.`,
				at + `[INF] [Progress] Requesting certificate via Certificate Authority`,
				at + `[INF] [Progress] Completed certificate request.`,
				at + `[INF] Completed certificate request and automated binding updates`,
				at + `[INF] ---- Beginning Request [My site] ----`,
				at + `[INF] Requested identifiers to include on certificate: a.example`,
				at + `[INF] Created ACME Order: https://ca.example/acme/order/1/10`,
				at + `[INF] Preparing automated challenge responses for: a.example`,
				at + `[ERR] DNS update failed: no such zone`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T20:18:41.123Z client=certify run="line 1"`,
				`line 3: order time=2026-11-23T20:18:41.123Z client=certify run="line 1" order=https://ca.example/acme/order/1/9 name=a.example`,
				`line 4: order time=2026-11-23T20:18:41.123Z client=certify run="line 1" order=https://ca.example/acme/order/1/9 status=ready`,
				`line 6: order time=2026-11-23T20:18:41.123Z client=certify run="line 1" order=https://ca.example/acme/order/1/9 status=valid`,
				`line 6: run ended time=2026-11-23T20:18:41.123Z client=certify run="line 1"`,
				`line 8: run started time=2026-11-23T20:18:41.123Z client=certify run="line 8"`,
				`line 10: order time=2026-11-23T20:18:41.123Z client=certify run="line 8" order=https://ca.example/acme/order/1/10 name=a.example`,
				`line 11: authorization time=2026-11-23T20:18:41.123Z client=certify run="line 8" in=https://ca.example/acme/order/1/10 identifier=a.example status=pending`,
				`line 12: failure time=2026-11-23T20:18:41.123Z client=certify run="line 8" cause="dns provider" message="DNS update failed: no such zone" order=https://ca.example/acme/order/1/10 in=https://ca.example/acme/order/1/10 identifier=a.example`,
				`line 12: run stopped time=2026-11-23T20:18:41.123Z client=certify run="line 8" message="DNS update failed: no such zone"`,
			},
		},
		{
			name: "version 5, the CA is slow and then not reached",
			log: []string{
				at + `[INF] Beginning Certificate Request Process: a.example using ACME Provider:Certes`,
				at + `[INF] Requested identifiers to include on certificate: a.example;*.a.example`,
				at + `[INF] Created ACME Order: https://ca.example/acme/order/1/9`,
				at + `[INF] [Progress] Preparing automated challenge responses (*.a.example)`,
				at + `[INF] [Progress] Checking automated challenge response for Domain: *.a.example`,
				at + `[INF] Waiting for the CA to validate the dns-01 challenge response for: a.example [https://ca.example/acme/chall/1/3/abc]`,
				at + `[ERR] [Progress] Domain validation failed: *.a.example `,
				`The CA did not respond with a valid status for this identifier authorization within the time allowed [Pending]`,
				at + `[ERR] Communication with the Certificate Authority API failed: [SocketException] no route`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T20:18:41.123Z client=certify run="line 1"`,
				`line 3: order time=2026-11-23T20:18:41.123Z client=certify run="line 1" order=https://ca.example/acme/order/1/9 name=a.example name=*.a.example`,
				`line 4: authorization time=2026-11-23T20:18:41.123Z client=certify run="line 1" in=https://ca.example/acme/order/1/9 identifier=a.example wildcard=true status=pending`,
				`line 5: challenge answered time=2026-11-23T20:18:41.123Z client=certify run="line 1" in=https://ca.example/acme/order/1/9 identifier=a.example wildcard=true`,
				`line 6: authorization time=2026-11-23T20:18:41.123Z client=certify run="line 1" authorization=https://ca.example/acme/authz/1/3 in=https://ca.example/acme/order/1/9 status=pending challenge=https://ca.example/acme/chall/1/3/abc type=dns-01`,
				`line 7: authorization time=2026-11-23T20:18:41.123Z client=certify run="line 1" in=https://ca.example/acme/order/1/9 identifier=a.example wildcard=true status=pending`,
				`line 9: failure time=2026-11-23T20:18:41.123Z client=certify run="line 1" cause=network message="Communication with the Certificate Authority API failed: [SocketException] no route" order=https://ca.example/acme/order/1/9`,
				`line 9: run stopped time=2026-11-23T20:18:41.123Z client=certify run="line 1" message="Communication with the Certificate Authority API failed: [SocketException] no route"`,
			},
		},
	}
}
