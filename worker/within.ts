/** Pauses, or rejects at once when the signal aborts it. */
export type Wait = (ms: number, signal?: AbortSignal) => Promise<void>;

/** The work's result, or a rejection when it takes longer; either way no timer is left behind. */
export async function within<T>(ms: number, work: Promise<T>, wait: Wait): Promise<T> {
	const settled = new AbortController();
	const tooLate = wait(ms, settled.signal).then((): never => {
		throw new Error(`no answer within ${ms} ms`);
	});
	try {
		return await Promise.race([work, tooLate]);
	} finally {
		settled.abort();
	}
}
