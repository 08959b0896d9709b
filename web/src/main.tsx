import { createRoot } from 'react-dom/client';
import { LanguageProvider } from './i18n';
import { applyTheme } from './theme';
import { App } from './ui/App';
import './styles/base.css';
import './styles/controls.css';
import './styles/workplace.css';

applyTheme();
const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <LanguageProvider>
      <App />
    </LanguageProvider>,
  );
}
