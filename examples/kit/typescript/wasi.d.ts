// What the kit needs of WASI.
declare module "wasi:cli/stdout@0.2.12" {
	interface OutputStream extends Disposable {
		blockingWriteAndFlush(bytes: Uint8Array): void;
	}
	const stdout: { getStdout(): OutputStream };
	export default stdout;
}

declare function unescape(text: string): string;
