import { render } from 'preact';
import { App } from './app';
import { followHash, start } from './lib/store';
import './style.css';

addEventListener('hashchange', () => void followHash());
void start();
render(<App />, document.getElementById('app')!);
