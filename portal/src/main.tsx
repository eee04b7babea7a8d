import { render } from 'preact';
import { App } from './app.js';
import { preferredLanguage, setLanguage } from './language.js';
import './style.css';

setLanguage(preferredLanguage());
render(<App />, document.getElementById('portal')!);
