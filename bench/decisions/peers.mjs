/** How others judge, on the counts of requests: each says minute by minute whether it would roll back. */

const ALPHA = 0.0125;
/** The one-sided normal quantile of ALPHA. */
const Z = 2.241402727604947;
const WINDOW_MINUTES = 5;
const RATE_MAX = 0.02;
/** Requests at which the confidence sequence is narrowest. */
const TUNED_FOR = 5_000;

export const PEERS = ["5-minute error rate > 2 %, as in Flagger and Argo", "z-test each minute", "asymptotic sequential test"];

export function startPeers({ halfWidthOneSided }) {
	return [threshold(), peekedZTest(), asymptoticTest(halfWidthOneSided)];
}

function threshold() {
	const window = Array.from({ length: WINDOW_MINUTES }, () => ({ requests: 0, harms: 0 }));
	let [requests, harms, at] = [0, 0, 0];
	return ({ arms: { candidate } }) => {
		const slot = window[at++ % WINDOW_MINUTES];
		requests += candidate.requests - slot.requests;
		harms += candidate.harms - slot.harms;
		slot.requests = candidate.requests;
		slot.harms = candidate.harms;
		return requests > 0 && harms / requests > RATE_MAX;
	};
}

function peekedZTest() {
	const sum = counting();
	return (minute) => {
		const { n, x, m, y } = sum(minute);
		const pooled = (x + y) / (n + m);
		const deviation = Math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m));
		return deviation > 0 && (x / n - y / m) / deviation > Z;
	};
}

function asymptoticTest(halfWidthOneSided) {
	const sum = counting();
	return (minute) => {
		const { n, x, m, y } = sum(minute);
		if (n === 0 || m === 0) return false;
		const [p, q] = [x / n, y / m];
		const variance = (p * (1 - p)) / n + (q * (1 - q)) / m;
		return p - q > halfWidthOneSided(n + m, variance * (n + m), ALPHA, TUNED_FOR);
	};
}

/** Requests and failures since the start: n and x of the candidate, m and y of control. */
function counting() {
	const sums = { n: 0, x: 0, m: 0, y: 0 };
	return ({ arms: { candidate, control } }) => {
		sums.n += candidate.requests;
		sums.x += candidate.harms;
		sums.m += control.requests;
		sums.y += control.harms;
		return sums;
	};
}
