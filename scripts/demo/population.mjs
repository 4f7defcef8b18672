// Users who come, are served by the edge, and have outcomes. Seeded: the same seed has the same users and the same luck.

const REQUESTS_A_VISIT = 5;

/** mulberry32, a small public-domain generator: uniform in [0, 1). */
export function random(seed) {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let t = state;
		t = Math.imul(t ^ (t >>> 15), t | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	};
}

export const users = (name, count) => Array.from({ length: count }, (_, i) => `${name}-${i + 1}`);

/** Outcomes of one visit: an `error` event a request, and from every fifth user how satisfied they were. */
export function outcomes(user, errorRate, draw) {
	let failed = 0;
	const events = Array.from({ length: REQUESTS_A_VISIT }, () => {
		const isError = draw() < errorRate;
		if (isError) failed++;
		return { targetingKey: user, metric: "error", value: isError };
	});
	if (draw() < 0.2) events.push({ targetingKey: user, metric: "satisfaction", value: Math.max(0, (draw() < 0.7 ? 9 : 10) - 3 * failed) });
	return events;
}
