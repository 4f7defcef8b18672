import { setTimeout as pause } from "node:timers/promises";

const LANES = 3;
const PAUSE_MS = 25;
/** All flags at once, so that none is overlooked. */
const BULK_EVERY = 20;

/** Users who ask all edges for an environment's flags, steadily, until they are stopped. Keeps when the candidate was last answered. */
export function startTraffic({ edges, sdkKey, flags }) {
	const seen = edges.map(() => ({ candidateAtMs: -Infinity, allCandidatesAtMs: -Infinity, bulkWithoutAtMs: -Infinity, answers: 0 }));
	const over = new AbortController();
	let failure;
	const ask = async (edge, path, user) => {
		const response = await fetch(`${edges[edge]}/ofrep/v1/evaluate/flags${path}`, {
			method: "POST",
			headers: { authorization: `Bearer ${sdkKey}`, "content-type": "application/json" },
			body: JSON.stringify({ context: { targetingKey: user } }),
		});
		const answer = await response.json();
		if (response.status !== 200) throw new Error(`the edge answered ${response.status}: ${JSON.stringify(answer)}`);
		return answer;
	};
	const lane = async (edge, number) => {
		const mine = seen[edge];
		for (let i = number; !over.signal.aborted; i++) {
			const user = `user-${(i * 7_919) % 10_007}`;
			const isBulk = number === 0 && i % BULK_EVERY === 0;
			const sentAtMs = performance.now();
			const values = isBulk
				? (await ask(edge, "", user)).flags.map(({ value }) => value)
				: [(await ask(edge, `/${flags[(i * 31) % flags.length]}`, user)).value];
			mine.answers++;
			if (values.includes(true)) mine.candidateAtMs = performance.now();
			if (isBulk && values.every((value) => value === true)) mine.allCandidatesAtMs = performance.now();
			// By when it was asked: an answer that was on its way says nothing of what came after.
			if (isBulk && !values.includes(true)) mine.bulkWithoutAtMs = sentAtMs;
			await pause(PAUSE_MS);
		}
	};
	const lanes = edges.flatMap((_, edge) =>
		Array.from({ length: LANES }, (__, number) =>
			lane(edge, number).catch((error) => {
				failure ??= error;
			}),
		),
	);
	const until = async (isSo, withinMs, what) => {
		const startedAtMs = performance.now();
		while (!seen.every(isSo)) {
			if (failure) throw failure;
			if (performance.now() - startedAtMs > withinMs) throw new Error(`${what}: not within ${withinMs} ms`);
			await pause(PAUSE_MS);
		}
	};
	return {
		/** Every edge has answered every flag with the candidate since then. */
		candidates: (sinceMs) => until(({ allCandidatesAtMs }) => allCandidatesAtMs > sinceMs, 30_000, "the candidate at every edge"),
		/** When the last candidate was answered, once no edge has answered any for so long. */
		async lastCandidate(quietMs) {
			const isQuiet = ({ candidateAtMs, bulkWithoutAtMs }) => bulkWithoutAtMs > candidateAtMs + quietMs;
			await until(isQuiet, 60_000, "the end of the candidate at every edge");
			return Math.max(...seen.map(({ candidateAtMs }) => candidateAtMs));
		},
		answers: () => seen.reduce((sum, { answers }) => sum + answers, 0),
		async stop() {
			over.abort();
			await Promise.all(lanes);
			if (failure) throw failure;
		},
	};
}
