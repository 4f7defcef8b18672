import type { Compared, ComparedSample } from "../../core/wire";
import { log } from "../log";
import type { Sources } from "../sources";
import { within } from "../within";
import type { Gateway, Kept } from "./gateway";
import { inTurn } from "./turn";

/** What comparing has found, gathered by an isolate and sent behind the answers. Counters for people: what is lost is logged, and no evidence. */

const SAMPLES_MAX = 5;
const SUBJECTS_MAX = 200;
/** So many control takes at once. */
const BATCH_MAX = 50;
const RECORD_TIMEOUT_MS = 10_000;
/** Control that is given less time to answer would seldom do. */
const RECORD_MIN_MS = 1_000;

/** One request that was compared. */
export interface Comparing {
	readonly subject: string;
	readonly phase: string;
	readonly isDiscrepancy: boolean;
	readonly isError: boolean;
	/** Of both, or it counts for neither. */
	readonly latencies: { readonly legacyMs: number; readonly candidateMs: number } | undefined;
	/** Made only where one more is kept. */
	readonly sample: (() => ComparedSample) | undefined;
}

export async function gather(
	{
		gateway,
		sources,
	}: { readonly gateway: Pick<Gateway, "kept" | "comparisons" | "flushAfterMs">; readonly sources: Pick<Sources, "now" | "wait"> },
	environment: string,
	found: readonly Comparing[],
	endsMs?: number,
): Promise<void> {
	const { kept, comparisons } = gateway;
	if (!comparisons) return;
	for (const each of found) add(kept, environment, each);
	await inTurn(kept.comparedTurn, { pauseMs: gateway.flushAfterMs, endsMs }, sources, async (untilMs) => {
		const all = [...kept.compared.values()];
		kept.compared = new Map();
		for (const [name, ofIt] of Map.groupBy(all, (each) => each.environment)) {
			for (let from = 0; from < ofIt.length; from += BATCH_MAX) {
				const batch = ofIt.slice(from, from + BATCH_MAX).map(({ compared }) => compared);
				const leftMs = untilMs - sources.now();
				if (leftMs < RECORD_MIN_MS) {
					for (const each of batch) merge(kept, name, each);
					continue;
				}
				try {
					// oxlint-disable-next-line no-await-in-loop -- environments are few, and seldom two at once
					await within(Math.min(RECORD_TIMEOUT_MS, leftMs), comparisons.record(name, batch), sources.wait);
				} catch (error) {
					log("comparisons_lost", { environment: name, subjects: batch.length, error: String(error) });
				}
			}
		}
		return kept.compared.size > 0 && untilMs - sources.now() >= RECORD_MIN_MS;
	});
}

/** Puts back what there was no time to send. */
function merge({ compared: all }: Kept, environment: string, unsent: Compared): void {
	const { subject, phase } = unsent;
	const name = `${environment}/${subject}/${phase}`;
	const since = all.get(name)?.compared ?? nothing(subject, phase);
	all.set(name, {
		environment,
		compared: {
			subject,
			phase,
			queries: unsent.queries + since.queries,
			discrepancies: unsent.discrepancies + since.discrepancies,
			errors: unsent.errors + since.errors,
			legacyMs: unsent.legacyMs + since.legacyMs,
			candidateMs: unsent.candidateMs + since.candidateMs,
			timed: unsent.timed + since.timed,
			samples: [...unsent.samples, ...since.samples].slice(0, SAMPLES_MAX),
		},
	});
}

function add({ compared: all }: Kept, environment: string, found: Comparing): void {
	const { subject, phase, isDiscrepancy, isError, latencies, sample } = found;
	const name = `${environment}/${subject}/${phase}`;
	const before = all.get(name)?.compared;
	if (!before && all.size >= SUBJECTS_MAX) return log("comparisons_lost", { environment, subject });
	const { queries, discrepancies, errors, legacyMs, candidateMs, timed, samples } = before ?? nothing(subject, phase);
	all.set(name, {
		environment,
		compared: {
			subject,
			phase,
			queries: queries + 1,
			discrepancies: discrepancies + Number(isDiscrepancy),
			errors: errors + Number(isError),
			legacyMs: legacyMs + (latencies?.legacyMs ?? 0),
			candidateMs: candidateMs + (latencies?.candidateMs ?? 0),
			timed: timed + (latencies ? 1 : 0),
			samples: sample && samples.length < SAMPLES_MAX ? [...samples, sample()] : samples,
		},
	});
}

const nothing = (subject: string, phase: string): Compared => ({
	subject,
	phase,
	queries: 0,
	discrepancies: 0,
	errors: 0,
	legacyMs: 0,
	candidateMs: 0,
	timed: 0,
	samples: [],
});
