import { randomUUID } from "node:crypto";
import type * as z from "zod";
import type { Control, Hear, Write } from "./controlApi";
import { EXIT, Stop } from "./exit";
import type { World } from "./world";

const TRIES = 3;
const PAUSE_MS = 500;

/** For writes that control knows by their key: what may not have arrived is sent again, and carried out once. */
export async function sendSafely<T>(
	world: Pick<World, "sleep" | "interrupted">,
	control: Control,
	write: Write,
	schema: z.ZodType<T>,
	isPassing: (error: Stop) => boolean = isUnanswered,
	hear?: Hear,
): Promise<T> {
	const key = randomUUID();
	for (let tries = 1; ; tries++) {
		try {
			// oxlint-disable-next-line no-await-in-loop -- tried again
			return await control.send(write, schema, key, hear);
		} catch (error) {
			if (!(error instanceof Stop) || !isPassing(error) || tries >= TRIES || world.interrupted.aborted) throw error;
			// oxlint-disable-next-line no-await-in-loop -- see above
			await world.sleep(PAUSE_MS * tries);
		}
	}
}

export const isUnanswered = ({ exit }: Stop): boolean => exit === EXIT.unreachable;
