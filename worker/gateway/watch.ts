/** An answer's body on its way to the user. */
export interface Watched {
	readonly body: ReadableStream<Uint8Array>;
	/** When all of it went out, its bytes, 0 where nobody asked for them; undefined: it broke off, or the user left. */
	readonly ended: Promise<number | undefined>;
}

/**
 * Passes a body on and tells of its end. The response must have come with its body as it was encoded, since what is decoded on the way would
 * be encoded anew. Its length stays announced, and the runtime copies what nobody counts.
 */
export function watched(body: ReadableStream<Uint8Array>, headers: Headers, countsBytes: boolean): Watched {
	const announced = headers.get("content-length");
	if (announced === null && countsBytes) return counted(body);
	const bytes = Number(announced ?? 0);
	const { readable, writable } = announced === null ? new IdentityTransformStream() : new FixedLengthStream(bytes);
	return { body: readable, ended: body.pipeTo(writable).then(() => bytes, none) };
}

const none = (): undefined => undefined;

function counted(body: ReadableStream<Uint8Array>): Watched {
	let bytes = 0;
	let isWhole = false;
	const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({
		transform(piece, controller) {
			bytes += piece.byteLength;
			controller.enqueue(piece);
		},
		flush() {
			isWhole = true;
		},
	});
	return { body: readable, ended: body.pipeTo(writable).then(() => (isWhole ? bytes : undefined), none) };
}
