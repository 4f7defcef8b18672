import type { Closed } from "./firstHarms";
import { RING, ringsAsked } from "./rings";
import type { Question } from "./source";

/**
 * How questions enter the embedded store's statements, and what its watermarks are: the epoch up to which has been read and, after
 * a slash, the newest one whose users are old enough to be scored. "12" of before users were scored is "12/0".
 */

export const printWatermark = ({ epoch, aged }: Closed): string => `${epoch}/${aged}`;

export function readWatermark(watermark: string): Closed {
	const [, epoch, aged = "0"] = /^(\d+)(?:\/(\d+))?$/.exec(watermark) ?? [];
	if (epoch === undefined) throw new Error(`${watermark} is no watermark of the embedded store`);
	return { epoch: Number(epoch), aged: Number(aged) };
}

/** Any number of questions is one parameter (?1). */
export const QUESTIONS = `q AS (
	SELECT value ->> 0 AS rollout, value ->> 1 AS stage, value ->> 2 AS after, value ->> 3 AS aged_after, value -> 4 AS scores FROM json_each(?1))`;

/** Of each stage by itself: users of each ring have one of their own. */
export const askedByRing = (questions: readonly Question[]): string =>
	asked(questions.flatMap((each) => ringsAsked(each).map((ring) => ({ ...each, stage: each.stage + ring * RING }))));

export const asked = (questions: readonly Question[]): string =>
	JSON.stringify(
		questions.map(({ rollout, stage, after, scores }) => {
			const { epoch, aged } = readWatermark(after ?? "0");
			return [
				rollout,
				stage,
				epoch,
				aged,
				scores.map(({ signal, metric, center, spread, shift }) => [signal, metric, center, spread, shift]),
			];
		}),
	);
