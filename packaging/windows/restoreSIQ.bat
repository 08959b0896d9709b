@rem Passes everything on: verbund knows the name.
@"%~dp0verbund.exe" restoreSIQ %*
@exit /b %ERRORLEVEL%
