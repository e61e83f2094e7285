// The page is one file, index.html with its script and styles in it: the server embeds that and needs no other path.
import preact from '@preact/preset-vite';
import { defineConfig } from 'vite';
import { viteSingleFile } from 'vite-plugin-singlefile';

export default defineConfig({
  plugins: [preact({ devToolsEnabled: false }), viteSingleFile({ removeViteModuleLoader: true })],
  build: { outDir: process.env.QUERN_PAGE_OUT ?? 'dist', emptyOutDir: true, target: 'es2022', assetsInlineLimit: 1 << 20 },
  server: { proxy: { '/page': process.env.QUERN_SERVER ?? 'http://127.0.0.1:8080' } },
});
