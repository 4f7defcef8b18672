const BETWEEN_MS = 30_000;

export interface Clock {
	readonly realNow: () => number;
	readonly wait: (ms: number) => Promise<unknown>;
}

/**
 * Cron comes once a minute; the second look comes between. One that fails does not stop the other, and what failed first is
 * thrown at the end. A first that took too long leaves the rest to the next minute's.
 */
export async function looks(count: 1 | 2, now: number, look: (now: number) => Promise<void>, { realNow, wait }: Clock): Promise<void> {
	const startedAtMs = realNow();
	let failed = await failureOf(look(now));
	const leftMs = startedAtMs + BETWEEN_MS - realNow();
	if (count === 2 && leftMs > 0) {
		await wait(leftMs);
		const second = await failureOf(look(now + BETWEEN_MS));
		failed ??= second;
	}
	if (failed) throw failed.error;
}

async function failureOf(looking: Promise<void>): Promise<{ readonly error: unknown } | undefined> {
	try {
		await looking;
		return undefined;
	} catch (error) {
		return { error };
	}
}
